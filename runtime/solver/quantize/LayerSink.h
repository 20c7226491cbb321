// Solved layers on their way to the disk: packed and written on threads of their own, while the
// next ones are solved.
#ifndef GPTQC_RUNTIME_SOLVER_QUANTIZE_LAYERSINK_H
#define GPTQC_RUNTIME_SOLVER_QUANTIZE_LAYERSINK_H

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "runtime/solver/Solve.h"
#include "runtime/solver/quantize/Journal.h"
#include "runtime/solver/quantize/ModulePlan.h"

namespace gptqc {

/// Borrows what it is made from. One thread at a time puts.
class LayerSink {
public:
  LayerSink(CheckpointWriter &writer, const Journal &journal, DType activation, int threads);
  LayerSink(const LayerSink &) = delete;
  LayerSink &operator=(const LayerSink &) = delete;
  /// Waits for what was put.
  ~LayerSink();

  /// Takes a layer on; waits while several are under way. `task` is borrowed until finish().
  /// Returns the first error so far, naming the layer.
  Status put(const std::string &name, LayerSolution solution, const ModuleTask &task,
             const LayerRecord &record);
  /// Waits until all layers are in the journal and in the new folder.
  Status finish();

private:
  struct Layer {
    std::string name;
    LayerSolution solution;
    const ModuleTask *task;
    LayerRecord record;
  };

  Status write(const Layer &layer) const;
  void work();
  void run(const Layer &layer);

  CheckpointWriter &writer;
  const Journal &journal;
  DType activation;
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Layer> waiting;
  size_t running = 0;
  bool ended = false;
  Status error;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_QUANTIZE_LAYERSINK_H
