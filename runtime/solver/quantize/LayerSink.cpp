// A queue of layers and a few threads.
#include "runtime/solver/quantize/LayerSink.h"

#include <system_error>

namespace gptqc {

LayerSink::LayerSink(CheckpointWriter &writer, const Journal &journal, DType activation,
                     int threadCount)
    : writer(writer), journal(journal), activation(activation) {
  for (int i = 0; i < threadCount; ++i) {
    try {
      threads.emplace_back([this] { work(); });
    } catch (const std::system_error &) { // no more threads: fewer will do, or the caller's
      break;
    }
  }
}

LayerSink::~LayerSink() {
  {
    const std::lock_guard lock(mutex);
    ended = true;
  }
  changed.notify_all();
  for (std::thread &thread : threads)
    thread.join();
}

void LayerSink::work() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [this] { return ended || !waiting.empty(); });
    if (waiting.empty())
      return;
    const Layer layer = std::move(waiting.front());
    waiting.pop_front();
    ++running;
    lock.unlock();
    run(layer);
    lock.lock();
    --running;
    changed.notify_all();
  }
}

void LayerSink::run(const Layer &layer) {
  const Status status = write(layer).withContext(layer.name);
  const std::lock_guard lock(mutex);
  if (error.ok())
    error = status;
}

Status LayerSink::write(const Layer &layer) const {
  const Packing packing = packingOf(layer.task->config.format);
  GPTQC_ASSIGN(QuantizedMatrix matrix, toMatrix(layer.solution, layer.task->solver, activation));
  const Descriptor &d = matrix.descriptor;
  const std::vector<uint32_t> words = packRows(packing, d.bits, d.k, d.n, matrix.codes);
  GPTQC_TRY(journal.put(layer.name, matrix, bytesOf(words), packing, layer.record));
  return writer.putPacked(layer.name, matrix, bytesOf(words));
}

Status LayerSink::put(const std::string &name, LayerSolution solution, const ModuleTask &task,
                      const LayerRecord &record) {
  constexpr size_t kMostWaiting = 4;
  Layer layer = {name, std::move(solution), &task, record};
  if (threads.empty()) {
    run(layer);
    return error;
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [this] { return waiting.size() < kMostWaiting; });
  waiting.push_back(std::move(layer));
  changed.notify_all();
  return error;
}

Status LayerSink::finish() {
  std::unique_lock lock(mutex);
  changed.wait(lock, [this] { return waiting.empty() && running == 0; });
  return error;
}

} // namespace gptqc
