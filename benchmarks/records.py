"""Writes a folder of images as a set of TensorFlow Datasets in array_record format.

KERAS_BACKEND=jax python benchmarks/records.py FOLDER OUT

Neither this nor reading needs TensorFlow: `pip install tensorflow-datasets array_record`.
With `TFDS_DATA_DIR=OUT` in the environment it is read by `--data tfds:pictures`.
"""

import argparse
from pathlib import Path

NAME, VERSION, RECORDS_OF_A_FILE = "pictures", "1.0.0", 1000


def write_split(split, images, features, folder):
    """Writes the files of a split, and gives what `dataset_info.json` says about it."""
    import tensorflow_datasets
    from array_record.python.array_record_module import ArrayRecordWriter

    count = len(images.labels)
    starts = range(0, count, RECORDS_OF_A_FILE)
    for number, start in enumerate(starts):
        file = f"{NAME}-{split}.array_record-{number:05}-of-{len(starts):05}"
        writer = ArrayRecordWriter(str(folder / file), "group_size:1")
        for index in range(start, min(start + RECORDS_OF_A_FILE, count)):
            image = images.sources[index].read_bytes()
            example = {"image": image, "label": int(images.labels[index])}
            writer.write(features.serialize_example(example))
        writer.close()
    lengths = [min(RECORDS_OF_A_FILE, count - start) for start in starts]
    return tensorflow_datasets.core.SplitInfo(name=split, shard_lengths=lengths, num_bytes=0)


def main(arguments=None):
    """Writes `train` and `validation` of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="train/CLASS/*.jpg and val/CLASS/*.jpg")
    parser.add_argument("out", type=Path, help="folder of the set")
    options = parser.parse_args(arguments)
    import tensorflow_datasets as tfds

    from keras_se.data.sources.folder import list_folder

    train, held_out, names = list_folder(options.folder)
    image = tfds.features.Image(encoding_format="jpeg")
    label = tfds.features.ClassLabel(names=names)
    features = tfds.features.FeaturesDict({"image": image, "label": label})
    folder = options.out / NAME / VERSION
    folder.mkdir(parents=True)
    splits = {"train": train, "validation": held_out}
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=features,
        split_infos=[write_split(split, splits[split], features, folder) for split in splits],
        filename_template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        check_data=False,
    )


if __name__ == "__main__":
    main()
