# The public names: lazy_loader imports each on first use (see __init__.py), and type checkers read this file. ASCII
# only, because lazy_loader reads it in the encoding of the locale.
from .checkpoints import Checkpoints as Checkpoints  # the checkpoints of a run
from .devices import Layout as Layout  # how arrays are sharded over devices
from .devices import make_layout as make_layout  # TrainingConfig and numbers of devices -> Layout
from .gradients import StepSums as StepSums  # loss, count and gradient norm of a step
from .gradients import apply_gradients as apply_gradients  # (state, sums of a batch) -> (state, StepSums)
from .gradients import batch_gradients as batch_gradients  # (params, batch) -> gradients and sums
from .gradients import row_keys as row_keys  # (key, step) -> a random key for each row
from .loop import Callbacks as Callbacks  # what the loop calls
from .loop import Progress as Progress  # sums over a stretch of steps
from .loop import fit as fit  # the training loop
from .optimizers import learning_rates as learning_rates  # the learning rate of every step
from .optimizers import make_optimizer as make_optimizer  # TrainingConfig -> Optax optimizer
from .reporting import Observer as Observer  # is told how a run goes
from .reporting import Report as Report  # the results of an evaluation
from .reporting import Sample as Sample  # a text that the model wrote at an evaluation
from .run_directory import Run as Run  # a run directory
from .session import train_corpus as train_corpus  # EncodedCorpus -> TrainedModel
from .state import TrainState as TrainState  # step, params, opt_state, carry
from .state import init_state as init_state  # the state before the first step
from .step import TrainStep as TrainStep  # (state, batch, learning rate) -> (state, sums)
