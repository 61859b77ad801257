// A recurrent layer's arguments, and how the threads of a call share its work.
//
// The equations of each cell are at the top of flaxchar/models/lstm.py and cells.py; layer_forward.h and
// layer_backward.h compute them.
//
// If one core's cache can hold the weights, the threads divide the rows of the batch: each computes all time steps of
// its rows and never waits for the others. Otherwise groups of threads divide the units and meet after each time step.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "matrix.h"
#include "threads.h"

namespace {

// The cells, numbered as NATIVE_CELLS in flaxchar/kernels/cpu.py. The pre-activations of a unit are
//   LSTM  four: i, f, g, o
//   GRU   four: z, r, the input part of n and the state part of n. The two parts of n stay apart because r multiplies
//         only the second.
//   RNN   one
enum Cell : int64_t { kLstm, kGru, kRnn };

// The one of a GRU's four pre-activations that does not depend on the inputs, and the one that does not depend on the
// state.
constexpr int without_inputs(Cell cell) { return cell == kGru ? 3 : kNone; }
constexpr int without_state(Cell cell) { return cell == kGru ? 2 : kNone; }

// Calls f with the cell as a compile-time constant, so that f is compiled for each cell.
template <typename F>
void for_cell(Cell cell, F f) {
  switch (cell) {
    case kLstm: return f(std::integral_constant<Cell, kLstm>());
    case kGru: return f(std::integral_constant<Cell, kGru>());
    case kRnn: return f(std::integral_constant<Cell, kRnn>());
  }
}

// The arguments of a layer. It reads either `ids` [time, batch] or `inputs` [time, batch, features]. For ids, the bias
// has been added to the rows of `kernel`, and `bias` is null.
struct Layer {
  Cell cell;
  int64_t time, batch, hidden, features;
  const int32_t* ids;
  const float* inputs;
  const float* kernel;     // [features, gates hidden]
  const float* bias;       // [gates hidden]
  const float* recurrent;  // [hidden, gates hidden]
  const float* h0;         // [batch, hidden]
  const float* c0;         // [batch, hidden]; of an LSTM
  const float* mask;       // [batch, hidden]: multiplies the state before the recurrent product; or null

  Columns gates() const { return cell == kRnn ? Columns{hidden, 0} : Columns{4 * hidden, hidden}; }
  int64_t panel_units() const { return cell == kRnn ? kPanel : kLanes; }
  int lanes(int64_t unit) const { return static_cast<int>(std::clamp<int64_t>(hidden - unit, 0, kLanes)); }

  // The number of groups of threads. The groups divide the rows, the threads of a group divide the units. The number is
  // the greatest for which a core's cache holds its share of the weights, or its rows pay for reading them.
  int row_groups(int threads) const {
    static const long cache = std::max(sysconf(_SC_LEVEL2_CACHE_SIZE), 1L << 18);
    const int64_t weights = (hidden + (ids ? 0 : features)) * gates().width() * sizeof(float);
    int groups = threads;
    while (groups > 1 && (threads % groups != 0 || batch < 3 * groups ||
                          (weights * groups / threads > cache * 3 / 4 && batch < 64 * groups))) {
      --groups;
    }
    return groups;
  }
};

// One thread's share of a layer's work.
struct ThreadShare {
  Range rows, panels;
  Barrier* barrier;  // shared by the threads that work on the same rows
};

// The threads of a call, in groups.
class Team {
 public:
  Team(const Layer& layer, int threads)
      : layer_(layer), row_groups_(layer.row_groups(threads)), unit_groups_(threads / row_groups_) {
    for (int group = 0; group < row_groups_; ++group) barriers_.push_back(std::make_unique<Barrier>(unit_groups_));
  }
  ThreadShare share_of(int member, int members) {
    const int64_t panels = layer_.gates().panels();
    if (members == 1) return {{0, layer_.batch}, {0, panels}, &alone_};
    const int group = member / unit_groups_;
    return {share(layer_.batch, group, row_groups_), share(panels, member % unit_groups_, unit_groups_),
            barriers_[group].get()};
  }

 private:
  const Layer& layer_;
  const int row_groups_, unit_groups_;
  std::vector<std::unique_ptr<Barrier>> barriers_;
  Barrier alone_{1};
};

}  // namespace
