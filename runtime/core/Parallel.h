// A parallel loop over indices on short-lived threads; what every CPU path uses.
#ifndef GPTQC_RUNTIME_CORE_PARALLEL_H
#define GPTQC_RUNTIME_CORE_PARALLEL_H

#include <cstdint>
#include <functional>

namespace gptqc {

/// `threads` if positive, else the number of hardware threads; never below 1.
int resolveThreads(int threads);

/// Calls body(index, worker) once for every index in 0..count-1, on at most `workers` threads (the
/// caller's is one of them), and returns when all are done. Indices are handed out in increasing
/// order; `worker` is 0..workers-1 and no two calls with the same worker overlap, so it may index
/// scratch memory. The body must not throw. Runs on fewer threads when the system has none left.
void parallelFor(int64_t count, int workers,
                 const std::function<void(int64_t index, int worker)> &body);

/// Calls body(row) once for every row, several consecutive ones on a thread; for bodies too short
/// to be handed out singly. Few rows run on the caller's thread.
void parallelForRows(int64_t rows, int workers, const std::function<void(int64_t row)> &body);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_PARALLEL_H
