"""Detection and segmentation: adapters for KerasHub and KerasCV, COCO's data and metrics.

The modules are imported by name, each for what it needs: `kerashub` needs keras-hub, `kerascv`
keras-cv, and `coco_metrics` pycocotools.
"""
