"""Packets become frames: what is in a file, in which order, and the engines that decode it.

Data flows one way: `container` opens a file, `packets` reads a table of its packets, with the notes that
`bitstream` makes on them, and `order` finds the order of the frames and where decoding begins. `decoder` and
`pyav`, or `decord`, decode, `rgb` converts, `random_access` plans; `index` is what users see of it, and
`opening` puts it all together.

The other rooms need little of it. `open_file` opens a local file; the `OpenFile` has its facts, its index,
and ways to its frames. `open_front` decodes the beginning of a file that still arrives. `BatchMemory` is
memory for many frames. Only `write/join`, which copies packets, sees containers and packets.
"""

from ...base import attach

__getattr__, __dir__, __all__ = attach(__name__)
