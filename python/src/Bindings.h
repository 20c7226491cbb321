// The parts of the extension module; each file of this folder adds one.
#ifndef GPTQC_PYTHON_SRC_BINDINGS_H
#define GPTQC_PYTHON_SRC_BINDINGS_H

#include <nanobind/nanobind.h>

namespace gptqc::python {

void bindCheckpoint(nanobind::module_ &module);
void bindContext(nanobind::module_ &module);
void bindLinear(nanobind::module_ &module);
void bindSolver(nanobind::module_ &module);
void bindQuantize(nanobind::module_ &module);
void bindModels(nanobind::module_ &module);
void bindGenerate(nanobind::module_ &module);
#ifdef GPTQC_PYTHON_COMPILER
void bindKernels(nanobind::module_ &module);
void bindTune(nanobind::module_ &module);
#endif

} // namespace gptqc::python

#endif // GPTQC_PYTHON_SRC_BINDINGS_H
