from .batches import Spent as Spent
from .clips import ClipDataset as ClipDataset
from .dataset import VideoCollectionDataset as VideoCollectionDataset
from .loader import VideoCollectionDataLoader as VideoCollectionDataLoader
from .loader import WorkerKind as WorkerKind
