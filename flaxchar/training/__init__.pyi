# The front's names, each once: imported on first use (see __init__.py), and read by type checkers. In ASCII alone:
# lazy_loader reads this file in the encoding of the locale.
from .checkpoints import Checkpoints as Checkpoints  # the checkpoints of a run
from .devices import Layout as Layout  # how arrays are divided among devices
from .devices import make_layout as make_layout  # number of devices -> Layout
from .gradients import StepSums as StepSums  # the sums over a batch
from .gradients import apply_gradients as apply_gradients  # (state, gradients) -> state
from .gradients import batch_gradients as batch_gradients  # (params, batch) -> gradients and sums
from .gradients import row_keys as row_keys  # (key, step) -> a random key for each row
from .loop import Callbacks as Callbacks  # what the loop calls
from .loop import Progress as Progress  # where the loop is
from .loop import fit as fit  # the training loop
from .optimizers import learning_rates as learning_rates  # the learning rate of every step
from .optimizers import make_optimizer as make_optimizer  # TrainingConfig -> Optax optimizer
from .reporting import Observer as Observer  # what a run tells while it trains
from .reporting import Report as Report  # an evaluation, as it is told
from .reporting import Sample as Sample  # a text that the model wrote at an evaluation
from .run_directory import Run as Run  # a run directory
from .session import train_corpus as train_corpus  # EncodedCorpus -> TrainedModel
from .state import TrainState as TrainState  # step, params, opt_state, carry
from .state import init_state as init_state  # the state before the first step
from .step import TrainStep as TrainStep  # (state, batch, learning rate) -> (state, sums)
