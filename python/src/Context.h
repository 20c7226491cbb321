// Context: a GPU as Python sees it: the dispatcher with its kernels, workspaces for runs, and the
// solver's kernels.
#ifndef GPTQC_PYTHON_SRC_CONTEXT_H
#define GPTQC_PYTHON_SRC_CONTEXT_H

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtime/dispatch/Dispatcher.h"
#include "runtime/solver/cuda/CudaSolver.h"

namespace gptqc::python {

struct ContextSettings {
  int device = 0;
  std::vector<std::string> packs;
  std::optional<std::string> cache; ///< nothing: the default folder; "": none
  std::string nvrtc;                ///< empty: the usual places
  bool compileInRun = true;
  int threads = 0;
  std::string logTopics;
};

/// Thread-safe, but for the solver.
class Context {
public:
  static Result<std::shared_ptr<Context>> create(const ContextSettings &settings);

  const std::shared_ptr<Dispatcher> &dispatcher() const { return kernels; }
  const Device &device() const { return kernels->device(); }

  /// Workspace for runs on a stream, of at least `bytes`. It grows as needed, also while the stream
  /// is being captured; what it was before stays valid, since a graph may hold it.
  Result<DeviceSpan> workspace(CuStream stream, int64_t bytes);

  /// The solver's kernels, compiled by the first call. One thread at a time.
  Result<CudaSolver *> solver();

private:
  Context(std::shared_ptr<Dispatcher> kernels) : kernels(std::move(kernels)) {}

  std::shared_ptr<Dispatcher> kernels;
  std::mutex mutex;
  std::map<CuStream, std::vector<DeviceBuffer>> workspaces; ///< the last one is in use
  std::unique_ptr<CudaSolver> cudaSolver;
};

} // namespace gptqc::python

#endif // GPTQC_PYTHON_SRC_CONTEXT_H
