"""Predicts any number of image files into Parquet files, and goes on where it stopped."""

from keras_se.prediction.engines import ENGINES, predict_files
from keras_se.prediction.folder import PredictionFolder, open_folder

__all__ = ["ENGINES", "PredictionFolder", "open_folder", "predict_files"]
