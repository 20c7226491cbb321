// Runs the small kernels of the simulator's own tests.
#ifndef GPTQC_TESTS_SIM_RUNKERNEL_H
#define GPTQC_TESTS_SIM_RUNKERNEL_H

#include <gtest/gtest.h>

#include "tests/sim/Machine.h"

namespace gptqc::sim {

/// The buffers of every small kernel: read only, and writable.
alignas(1024) inline uint8_t source[1024];
alignas(1024) inline uint8_t result[4096];

struct Shape {
  unsigned blocks = 1;
  int threads = 64, cluster = 1;
  bool programmatic = false, backwards = false;
};

inline Report runKernel(void (*kernel)(), Shape shape = {}) {
  Launch launch;
  launch.kernel = [](const void *context) {
    reinterpret_cast<void (*)()>(const_cast<void *>(context))();
  };
  launch.context = reinterpret_cast<const void *>(kernel);
  launch.grid.x = shape.blocks;
  launch.threads = shape.threads;
  launch.sharedBytes = 4096;
  launch.cluster = shape.cluster;
  launch.programmatic = shape.programmatic;
  launch.backwards = shape.backwards;
  launch.buffers = {{"source", source, sizeof source, false, true},
                    {"result", result, sizeof result, true, true}};
  return run(launch);
}

inline testing::AssertionResult finds(const Report &report, const char *what) {
  if (report.text().find(what) != std::string::npos)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << "expected '" << what << "', got: " << report.text();
}

/// Clean in both orders of the threads.
inline testing::AssertionResult clean(void (*kernel)(), Shape shape = {}) {
  for (bool backwards : {false, true}) {
    shape.backwards = backwards;
    const Report report = runKernel(kernel, shape);
    if (!report.clean())
      return testing::AssertionFailure() << report.text();
  }
  return testing::AssertionSuccess();
}

} // namespace gptqc::sim

#endif // GPTQC_TESTS_SIM_RUNKERNEL_H
