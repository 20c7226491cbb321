// Text: tokenizers of model folders, and generation on the CPU.
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "python/src/Bindings.h"
#include "python/src/Support.h"
#include "runtime/model/Generate.h"
#ifdef GPTQC_PYTHON_TOKENIZER
#include "runtime/tokenizer/Tokenizer.h"
#endif

namespace gptqc::python {
namespace {

std::vector<int32_t> generateTokens(const std::string &folder, const std::vector<int32_t> &prompt,
                                    const nb::dict &given, int threads, nb::object onToken) {
  GenerateOptions options;
  options.maxTokens = nb::cast<int64_t>(given["max_tokens"]);
  options.stopAtEnd = nb::cast<bool>(given["stop_at_end"]);
  options.sampling.temperature = nb::cast<float>(given["temperature"]);
  options.sampling.topP = nb::cast<float>(given["top_p"]);
  options.sampling.seed = nb::cast<uint64_t>(given["seed"]);
  Callback callback(std::move(onToken));
  const auto see = [&](int32_t token) {
    if (!callback)
      return true;
    const nb::gil_scoped_acquire locked;
    return !callback(token).is(nb::bool_(false));
  };
  const auto work = [&]() -> Result<Generated> {
    GPTQC_ASSIGN(const Model model, Model::open(folder));
    const CpuContext cpu = CpuContext::create(threads);
    return generate(model, prompt, options, cpuSequences(model, cpu), see);
  };
  return unlocked([&] { return take(work()).tokens; });
}

#ifdef GPTQC_PYTHON_TOKENIZER
/// The shared pointer of the library is to a constant object, which Python does not know.
struct OpenTokenizer {
  std::shared_ptr<const Tokenizer> tokenizer;
};

void bindTokenizer(nb::module_ &module) {
  nb::class_<OpenTokenizer>(module, "Tokenizer")
      .def_static(
          "open",
          [](const std::string &folder) {
            return OpenTokenizer{unlocked([&] { return take(Tokenizer::open(folder)); })};
          },
          nb::arg("folder"))
      .def(
          "encode",
          [](const OpenTokenizer &self, const std::string &text, bool document) {
            return unlocked([&] {
              return take(document ? self.tokenizer->encodeDocument(text)
                                   : self.tokenizer->encode(text));
            });
          },
          nb::arg("text"), nb::arg("document"))
      .def(
          "decode",
          [](const OpenTokenizer &self, const std::vector<int32_t> &ids) {
            const std::string text = self.tokenizer->decode(ids);
            return nb::bytes(text.data(), text.size());
          },
          nb::arg("ids"));
}
#endif

} // namespace

void bindGenerate(nb::module_ &module) {
  module.def("generate", generateTokens, nb::arg("folder"), nb::arg("prompt"), nb::arg("options"),
             nb::arg("threads"), nb::arg("on_token").none());
#ifdef GPTQC_PYTHON_TOKENIZER
  bindTokenizer(module);
  module.attr("has_tokenizer") = true;
#else
  module.attr("has_tokenizer") = false;
#endif
}

} // namespace gptqc::python
