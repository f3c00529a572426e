from .annotations import find_notes as find_notes
from .keeper import MarkKeeper as MarkKeeper
from .marks import Marks as Marks
from .notes import FrameNotes as FrameNotes
from .places import identity_of as identity_of
from .places import marked_video as marked_video
