from .browser.widget import FrameBrowser as FrameBrowser
from .browser.widget import browse as browse
from .panels.explorer import WorkerExplorer as WorkerExplorer
from .panels.explorer import explore_workers as explore_workers
from .panels.profiler import ThroughputProfiler as ThroughputProfiler
from .panels.profiler import profile_throughput as profile_throughput
from .plots import plot_gops as plot_gops
from .stills import filmstrip as filmstrip
