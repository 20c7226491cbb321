// The limits of the options, in one place.
#include "runtime/solver/SolverOptions.h"

namespace gptqc {

Status validate(const SolverOptions &options) {
  if (options.bits < 2 || options.bits > 8)
    return invalidArgument("{} bits: GPTQ weights have 2 to 8", options.bits);
  if (options.groupSize != -1 && (options.groupSize < 1 || options.groupSize > INT32_MAX))
    return invalidArgument("group size {}: use -1 or a positive number of columns",
                           options.groupSize);
  if (!(options.damp > 0 && options.damp < 1))
    return invalidArgument("damping {}: it is a fraction of the mean diagonal, above 0 and below 1",
                           options.damp);
  if (options.actOrder && options.actGroupAware)
    return invalidArgument("act-order and group-aware reordering are two orders; choose one");
  if (options.staticGroups && options.groupRefresh)
    return invalidArgument("static groups have their grids before anything is updated; drop "
                           "group refresh");
  return Status();
}

} // namespace gptqc
