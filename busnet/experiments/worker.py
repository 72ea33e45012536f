"""The program of a training in a process of its own."""

from busnet.experiments.tasks import work_apart

if __name__ == "__main__":
    work_apart()
