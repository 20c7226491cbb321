// Parallel loop: an atomic counter shared by threads that live for one call.
#include "runtime/core/Parallel.h"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

namespace gptqc {

int resolveThreads(int threads) {
  if (threads > 0)
    return threads;
  return std::max(1, int(std::thread::hardware_concurrency()));
}

void parallelFor(int64_t count, int workers,
                 const std::function<void(int64_t index, int worker)> &body) {
  std::atomic<int64_t> next{0};
  const auto work = [&](int worker) {
    for (int64_t index = next.fetch_add(1); index < count; index = next.fetch_add(1))
      body(index, worker);
  };
  std::vector<std::thread> threads;
  const int extra = int(std::min<int64_t>(workers, count)) - 1;
  for (int worker = 1; worker <= extra; ++worker) {
    try {
      threads.emplace_back(work, worker);
    } catch (const std::system_error &) { // no thread to be had: the others take the work
      break;
    }
  }
  work(0);
  for (std::thread &thread : threads)
    thread.join();
}

void parallelForRows(int64_t rows, int workers, const std::function<void(int64_t row)> &body) {
  constexpr int64_t kChunk = 32;
  parallelFor((rows + kChunk - 1) / kChunk, workers, [&](int64_t chunk, int) {
    const int64_t end = std::min(rows, (chunk + 1) * kChunk);
    for (int64_t row = chunk * kChunk; row < end; ++row)
      body(row);
  });
}

} // namespace gptqc
