// The compile-time facts that a kernel's source opens with, and the facts that its launch needs.
#ifndef GPTQC_COMPILER_EMIT_KERNELFACTS_H
#define GPTQC_COMPILER_EMIT_KERNELFACTS_H

#include <string>

#include "runtime/core/Descriptor.h"
#include "runtime/core/KernelImage.h"
#include "runtime/core/Schedule.h"

namespace gptqc {

/// `struct layer { ... };` as templates/gptqc/tile.cuh documents it.
std::string layerFacts(const Descriptor &descriptor, const Schedule &schedule);

/// `struct tile { ... };`
std::string tileFacts(const Descriptor &descriptor, const Schedule &schedule);

/// All but the entry's name and the bytes of shared memory.
LaunchFacts launchFacts(const Descriptor &descriptor, const Schedule &schedule);

} // namespace gptqc

#endif // GPTQC_COMPILER_EMIT_KERNELFACTS_H
