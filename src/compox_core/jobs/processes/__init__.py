"""Worker processes: programs of their own that do the jobs, and the executor that watches over them.

The parent holds an `executor`: it queues jobs, gives each to a slot (`slots`), and a slot has at most one `worker`. It
alone writes records. A worker (`child`) does one job at a time in its main thread and tells by messages over a pipe
(`messages`) how far it is. Nothing here is imported by name: `executor` would cost a worker, `child` the parent.
"""
