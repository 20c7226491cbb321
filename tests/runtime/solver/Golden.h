// The results of the original implementation in tests/data/golden.
#ifndef GPTQC_TESTS_RUNTIME_SOLVER_GOLDEN_H
#define GPTQC_TESTS_RUNTIME_SOLVER_GOLDEN_H

#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "runtime/checkpoint/FloatTensor.h"
#include "runtime/solver/LayerFile.h"

namespace gptqc::golden {

struct Case {
  std::string name;
  std::shared_ptr<const LayerFile> layer;
  std::vector<float> q; ///< [N,K]
  SolverOptions options;
};

/// "b3g128a_act_static".
inline SolverOptions parseConfig(const std::string &text) {
  SolverOptions options;
  options.bits = text[1] - '0';
  size_t used = 0;
  options.groupSize = std::stoll(text.substr(3), &used);
  options.sym = text[3 + used] == 's';
  options.actOrder = text.find("_act") != std::string::npos;
  options.staticGroups = text.find("_static") != std::string::npos;
  return options;
}

/// All that the folder holds; empty when a file cannot be read.
inline std::vector<Case> cases() {
  std::vector<Case> all;
  const auto folder = std::filesystem::path(GPTQC_SOURCE_DIR) / "tests/data/golden";
  for (const auto &entry : std::filesystem::directory_iterator(folder)) {
    const auto file = SafeTensorsFile::open(entry.path());
    const auto layer = LayerFile::read(entry.path(), "");
    if (!file.ok() || !layer.ok())
      return {};
    const auto shared = std::make_shared<const LayerFile>(*layer);
    const std::string prefix = layer->name + ".Q.";
    for (const TensorInfo &info : (*file)->tensors())
      if (info.name.starts_with(prefix))
        all.push_back({info.name, shared, *loadFloats({file->get(), &info}),
                       parseConfig(info.name.substr(prefix.size()))});
  }
  return all;
}

/// tr((W-Q) H (W-Q)^T) in double.
inline double objective(const LayerFile &layer, const std::vector<float> &q) {
  const std::vector<double> h(layer.hessian.values.begin(), layer.hessian.values.end());
  std::vector<double> d(q.size()), product(q.size());
  for (size_t i = 0; i < q.size(); ++i)
    d[i] = double(layer.weights[i]) - q[i];
  Blas::builtin().gemm(1.0, MatrixRef<const double>(d.data(), layer.n, layer.k), Transpose::No,
                       MatrixRef<const double>(h.data(), layer.k, layer.k), Transpose::No, 0.0,
                       MatrixRef<double>(product.data(), layer.n, layer.k));
  double total = 0;
  for (size_t i = 0; i < q.size(); ++i)
    total += product[i] * d[i];
  return total;
}

/// Share of entries within half a scale step of the golden ones: the same codes.
inline double sameShare(const LayerSolution &solution, const std::vector<float> &golden) {
  const std::vector<float> q = solution.dequantize();
  int64_t same = 0;
  for (int64_t row = 0; row < solution.n; ++row)
    for (int64_t column = 0; column < solution.k; ++column) {
      const size_t at = size_t(row * solution.k + column);
      const int64_t group = solution.groupIndex[size_t(column)];
      same += std::abs(q[at] - golden[at]) <= solution.scales[size_t(group * solution.n + row)] / 2;
    }
  return double(same) / double(q.size());
}

} // namespace gptqc::golden

#endif // GPTQC_TESTS_RUNTIME_SOLVER_GOLDEN_H
