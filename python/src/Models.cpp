// Running models on the CPU: token files, perplexity.
#include <nanobind/stl/string.h>

#include "python/src/Bindings.h"
#include "python/src/Support.h"
#include "runtime/model/Perplexity.h"

namespace gptqc::python {
namespace {

nb::object loadTokens(const std::string &path, const std::string &name) {
  TokenRows rows = unlocked([&] { return take(loadTokenRows(path, name)); });
  return toNumpy(std::move(rows.ids), {size_t(rows.rows), size_t(rows.length)});
}

nb::tuple evaluate(const std::string &folder, const Array &tokens, int threads,
                   nb::object progress) {
  IdMatrix ids = toIds(tokens, "tokens");
  const TokenRows rows{ids.rows, ids.length, std::move(ids.ids)};
  Callback callback(std::move(progress));
  const auto work = [&]() -> Result<Perplexity> {
    GPTQC_ASSIGN(const Model model, Model::open(folder));
    return perplexityOf(model, rows, CpuContext::create(threads),
                        [&](int64_t done, int64_t total) { callback(done, total); });
  };
  const Perplexity result = unlocked([&] { return take(work()); });
  return nb::make_tuple(result.value, result.predictions);
}

} // namespace

void bindModels(nb::module_ &module) {
  module.def("load_tokens", loadTokens, nb::arg("path"), nb::arg("name"));
  module.def("evaluate", evaluate, nb::arg("folder"), nb::arg("tokens"), nb::arg("threads"),
             nb::arg("progress").none());
}

} // namespace gptqc::python
