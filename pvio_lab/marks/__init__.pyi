from .finding import find_notes as find_notes
from .finding import marked_video as marked_video
from .keeper import MarkKeeper as MarkKeeper
from .marks import Marks as Marks
from .notes import FrameNotes as FrameNotes
