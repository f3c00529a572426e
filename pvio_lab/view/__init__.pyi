from .browser.widget import FrameBrowser as FrameBrowser
from .browser.widget import browse as browse
from .explorer import WorkerExplorer as WorkerExplorer
from .explorer import explore_workers as explore_workers
from .figures import filmstrip as filmstrip
from .figures import plot_gops as plot_gops
from .profiler import ThroughputProfiler as ThroughputProfiler
from .profiler import profile_throughput as profile_throughput
