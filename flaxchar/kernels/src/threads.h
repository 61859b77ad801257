// Threads: a pool that runs one function on several cores, a barrier, and memory that is kept between calls.
//
// The reference in Python:
//
//   def run(threads, body):
//       for member in range(threads):      # all at the same time
//           body(member, threads)
//
// tests/kernels/test_cpu_bits.py checks that any number of threads gives the same bits, and calls the kernel from
// several Python threads at once.
//
// These names have external linkage, so that both source files of the library share one pool and its memory.
#pragma once

#if defined(__linux__)
#include <sched.h>
#endif
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace flaxchar {

// Pauses in a loop that waits for another thread. `turn` is the number of the loop's turn.
inline void pause_briefly(int turn) {
#if defined(__x86_64__)
  if (turn < 4000) return __builtin_ia32_pause();
#elif defined(__aarch64__)
  if (turn < 4000) return (void)__asm__ volatile("yield");
#endif
  std::this_thread::yield();  // after so many turns there are probably fewer cores than threads
}

// A point where a fixed number of threads wait for one another.
class Barrier {
 public:
  explicit Barrier(int members) : members_(members) {}
  void wait() {
    if (members_ == 1) return;
    const int round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == members_ - 1) {
      arrived_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
    } else {
      for (int turn = 0; round_.load(std::memory_order_acquire) == round; ++turn) pause_briefly(turn);
    }
  }

 private:
  const int members_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> round_{0};
};

// this_core is the core that the calling thread runs on, or -1 if unknown. leave_core moves the calling thread to any
// other core: the operating system may wake a thread on the core of its waker, and the two would then take turns.
#if defined(__linux__)
inline int this_core() { return sched_getcpu(); }
inline void leave_core(int core) {
  static const cpu_set_t all = [] {
    cpu_set_t cores;
    if (sched_getaffinity(getpid(), sizeof(cores), &cores) != 0) CPU_ZERO(&cores);
    return cores;
  }();
  if (core < 0 || sched_getcpu() != core) return;
  cpu_set_t others = all;
  CPU_CLR(core, &others);
  if (CPU_COUNT(&others) > 0) sched_setaffinity(0, sizeof(others), &others);
}
#else
inline int this_core() { return -1; }
inline void leave_core(int) {}
#endif

// The process's worker threads. They live as long as the process. They spin briefly for the next job, then sleep.
class Pool {
 public:
  static Pool& get() {
    static Pool* pool = new Pool;  // never deleted: its threads may outlive static destructors
    return *pool;
  }

  // Runs body(member, members) on `wanted` threads, the caller included, and returns when all have finished. If another
  // caller is using the pool, this caller works alone.
  template <typename Body>
  void run(int wanted, Body body) {
    std::unique_lock<std::mutex> lock(in_use_, std::try_to_lock);
    if (wanted <= 1 || !lock.owns_lock()) return body(0, 1);
    while (static_cast<int>(workers_) < wanted - 1) {
      std::thread(&Pool::work, this, ++workers_, job_.load()).detach();
    }
    body_ = &body;
    call_ = [](void* body, int member, int members) { (*static_cast<Body*>(body))(member, members); };
    members_ = wanted;
    core_ = this_core();
    pending_.store(workers_, std::memory_order_relaxed);
    {
      std::lock_guard<std::mutex> guard(mutex_);
      job_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    body(0, wanted);
    for (int turn = 0; pending_.load(std::memory_order_acquire) > 0; ++turn) pause_briefly(turn);
  }

 private:
  void work(int member, int seen) {
    for (;;) {
      for (int turn = 0; job_.load(std::memory_order_acquire) == seen && turn < 5000; ++turn) pause_briefly(turn);
      if (job_.load(std::memory_order_acquire) == seen) {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return job_.load(std::memory_order_acquire) != seen; });
      }
      ++seen;
      leave_core(core_);
      if (member < members_) call_(body_, member, members_);
      pending_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::mutex in_use_, mutex_;
  std::condition_variable wake_;
  std::atomic<int> job_{0}, pending_{0};
  int workers_ = 0, members_ = 0, core_ = -1;
  void* body_ = nullptr;
  void (*call_)(void*, int, int) = nullptr;
};

// A buffer of at least `floats` floats, not cleared. The thread keeps it for its next call, because mapping new memory
// costs as much as a time step or two. `slot` numbers the buffers of a call.
inline float* scratch(int slot, int64_t floats) {
  static thread_local std::vector<std::unique_ptr<float, decltype(&std::free)>> kept;
  static thread_local std::vector<int64_t> sizes;
  while (static_cast<int>(kept.size()) <= slot) {
    kept.emplace_back(nullptr, &std::free);
    sizes.push_back(0);
  }
  if (sizes[slot] < floats) {
    sizes[slot] = (floats + 15) / 16 * 16;
    kept[slot].reset(static_cast<float*>(std::aligned_alloc(64, sizes[slot] * sizeof(float))));
  }
  return kept[slot].get();
}

}  // namespace flaxchar

namespace {

using namespace flaxchar;

struct Range {
  int64_t begin, end;
};

// One thread's share of `count` items.
inline Range share(int64_t count, int member, int members) {
  return {count * member / members, count * (member + 1) / members};
}

}  // namespace
