// The simulated GPU, as tests launch it: runs the clusters of a grid one after the other, the
// threads of a cluster as fibers, and watches every memory access they make. README.md says what is
// modelled and what is not; Device.h is the side that kernels see.
#ifndef GPTQC_TESTS_SIM_MACHINE_H
#define GPTQC_TESTS_SIM_MACHINE_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/Device.h"

namespace gptqc::sim {

/// A buffer in simulated global memory. Accesses outside of all buffers are errors.
struct Buffer {
  std::string name;
  uint8_t *data = nullptr;
  size_t bytes = 0;
  bool writable = false;
  /// The kernel before writes or reads it: in a programmatic launch it is touched only after
  /// griddepcontrol.wait.
  bool dependent = false;
};

struct Launch {
  /// One thread's body. Plain pointers, because a kernel's files are instrumented: inline library
  /// code that they share with the simulator must not run while it watches.
  void (*kernel)(const void *context) = nullptr;
  const void *context = nullptr;
  Dim3 grid;
  int threads = 0;
  size_t sharedBytes = 0;
  std::vector<Buffer> buffers;
  int cluster = 1;           ///< blocks of a cluster, along x
  bool programmatic = false; ///< launched before the kernel in front of it has ended
  /// Clusters, their blocks and threads in descending order, and each block as far as it gets
  /// before the next one runs; else in ascending order, the blocks of a cluster by turns.
  bool backwards = false;
  bool stopAtFirst = false; ///< end with the first finding
};

struct Counters {
  uint64_t blocks = 0, threads = 0, accesses = 0, collectives = 0, barriers = 0, copies = 0,
           switches = 0;
  Counters &operator+=(const Counters &more);
};

/// Something wrong. `site` is the code address of the access, or null.
struct Finding {
  std::string what;
  const void *site = nullptr;
  Finding(std::string what, const void *site = nullptr) : what(std::move(what)), site(site) {}
};

/// What the run found; `errors` is empty for a clean run. At most a few dozen errors are kept.
struct Report {
  std::vector<Finding> errors;
  Counters counters;
  bool clean() const { return errors.empty(); }
  /// A line a finding, with file:line of its site where debug information and a symbolizer exist.
  std::string text() const;
};

/// Runs the whole grid on the calling OS thread. Not reentrant; one run at a time per process.
Report run(const Launch &launch);

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_MACHINE_H
