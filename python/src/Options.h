// The solver's options, as keyword arguments of Python name them.
#ifndef GPTQC_PYTHON_SRC_OPTIONS_H
#define GPTQC_PYTHON_SRC_OPTIONS_H

#include "python/src/Support.h"
#include "runtime/solver/SolverOptions.h"

namespace gptqc::python {

/// InvalidArgument for a key that is none; values that are absent keep their defaults.
SolverOptions solverOptionsFrom(const nb::dict &options);

} // namespace gptqc::python

#endif // GPTQC_PYTHON_SRC_OPTIONS_H
