// gptqc._core: the extension module. Nothing here is public; the Python files beside it are.
#include "python/src/Bindings.h"
#include "python/src/Support.h"
#include "runtime/core/Version.h"

#include <nanobind/stl/string.h>

namespace gptqc::python {
namespace {

/// Raises gptqc._errors.BY_CODE[code], the one place where a Status becomes a Python exception.
void raise(const Status &status) {
  const nb::object types = nb::module_::import_("gptqc._errors").attr("BY_CODE");
  const nb::object type = types[nb::int_(int(status.code()))];
  const std::string &text = status.message();
  const nb::object message =
      nb::steal(PyUnicode_DecodeUTF8(text.data(), Py_ssize_t(text.size()), "replace"));
  PyErr_SetObject(type.ptr(), message.ptr());
}

void translate(const std::exception_ptr &thrown, void *) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Failure &failure) {
    raise(failure.status());
  }
}

} // namespace
} // namespace gptqc::python

NB_MODULE(_core, module) {
  using namespace gptqc::python;
  nb::set_leak_warnings(false); // an interpreter that ends early is no business of its user
  nb::register_exception_translator(translate);
  module.attr("__version__") = std::string(gptqc::versionNumber());
  module.attr("commit") = std::string(gptqc::versionCommit());
  module.def(
      "canonical_descriptor",
      [](const std::string &text) {
        return take(gptqc::Descriptor::parse(text)).canonical().print();
      },
      nb::arg("text"));
  bindCheckpoint(module);
  bindContext(module);
  bindLinear(module);
  bindSolver(module);
  bindQuantize(module);
  bindModels(module);
  bindGenerate(module);
#ifdef GPTQC_PYTHON_SENTENCEPIECE
  module.attr("has_sentencepiece") = true;
#else
  module.attr("has_sentencepiece") = false;
#endif
#ifdef GPTQC_PYTHON_COMPILER
  bindKernels(module);
  bindTune(module);
  module.attr("has_compiler") = true;
#else
  module.attr("has_compiler") = false;
#endif
}
