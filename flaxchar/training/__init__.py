"""From batches to trained parameters: optimizer, training step, loop, plan, evaluation and run directory."""

from flaxchar.training.checkpoints import Checkpoints
from flaxchar.training.devices import Layout, make_layout
from flaxchar.training.gradients import StepSums, apply_gradients, batch_gradients, row_keys
from flaxchar.training.loop import Callbacks, Progress, fit
from flaxchar.training.optimizers import learning_rates, make_optimizer
from flaxchar.training.reporting import Observer, Report, Sample
from flaxchar.training.run_directory import Run
from flaxchar.training.session import train_corpus
from flaxchar.training.state import TrainState, init_state
from flaxchar.training.step import TrainStep

__all__ = [
    "Callbacks",
    "Checkpoints",
    "Layout",
    "Observer",
    "Progress",
    "Report",
    "Run",
    "Sample",
    "StepSums",
    "TrainState",
    "TrainStep",
    "apply_gradients",
    "batch_gradients",
    "fit",
    "init_state",
    "learning_rates",
    "make_layout",
    "make_optimizer",
    "row_keys",
    "train_corpus",
]
