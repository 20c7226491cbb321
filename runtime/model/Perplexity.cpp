// Parts of rows through all blocks; log-likelihoods from logits of some hundred tokens at a time.
#include "runtime/model/Perplexity.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/Parallel.h"
#include "runtime/model/BlockSource.h"
#include "runtime/model/Softmax.h"

namespace gptqc {
namespace {

constexpr int64_t kPassTokens = 2048; ///< tokens that go through a block at a time
constexpr int64_t kHeadTokens = 256;  ///< tokens whose logits are in memory

/// -log softmax(logits)[target]; overwrites the logits.
double negativeLogLikelihood(float *logits, int64_t count, int32_t target) {
  const float largest = largestOf(logits, count), chosen = logits[target];
  return std::log(exponentiate(logits, count, largest)) - double(chosen - largest);
}

/// The sum over the predictions of some rows.
double rowsLoss(const CpuContext &cpu, const ModelConfig &config, const OutputHead &head,
                std::span<const int32_t> ids, int64_t length, const Matrix &x) {
  double total = 0;
  for (int64_t first = 0; first < x.rows; first += kHeadTokens) {
    const int64_t count = std::min(kHeadTokens, x.rows - first);
    Matrix logits = head.logits(cpu, config, x.ref().block(first, 0, count, x.columns));
    std::vector<double> losses(static_cast<size_t>(count));
    parallelForRows(count, cpu.threads, [&](int64_t i) {
      const int64_t token = first + i;
      if (token % length != length - 1) // the last one of a row predicts nothing that is known
        losses[size_t(i)] =
            negativeLogLikelihood(logits.ref().row(i), logits.columns, ids[size_t(token + 1)]);
    });
    for (const double loss : losses)
      total += loss;
  }
  return total;
}

} // namespace

Result<Perplexity> perplexityByParts(const ModelConfig &config, const TokenRows &rows,
                                     const BlockProgress &progress, int64_t activationBytes,
                                     const PartLoss &lossOf) {
  const int64_t length = rows.length;
  if (rows.rows < 1 || length < 2)
    return invalidArgument("{} rows of {} tokens hold no predictions; rows need 2 tokens",
                           rows.rows, length);
  const int64_t fitting = activationBytes / (length * config.hidden * int64_t(sizeof(float)));
  const int64_t partRows = std::clamp<int64_t>(fitting, 1, rows.rows);
  const int64_t parts = (rows.rows + partRows - 1) / partRows;
  double loss = 0;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = part * partRows;
    const auto done = [&](int64_t blocks) {
      if (progress)
        progress(part * config.blocks + blocks, parts * config.blocks);
    };
    GPTQC_ASSIGN(const double sum,
                 lossOf(rows.part(first, std::min(partRows, rows.rows - first)), done));
    loss += sum;
  }
  Perplexity result;
  result.predictions = rows.rows * (length - 1);
  result.value = std::exp(loss / double(result.predictions));
  if (!std::isfinite(result.value))
    return dataCorrupt("the perplexity is not finite; the model's weights are damaged, or exceed "
                       "the range of their type");
  return result;
}

Result<Perplexity> perplexityOf(const Model &model, const TokenRows &rows, const CpuContext &cpu,
                                const BlockProgress &progress, int64_t activationBytes) {
  const ModelConfig &config = model.config();
  const int64_t length = rows.length;
  BlockSource blocks(model, cpu.threads);
  GPTQC_ASSIGN(const OutputHead head, model.loadHead());
  const PartLoss lossOf = [&](std::span<const int32_t> ids, const auto &done) -> Result<double> {
    const int64_t passTokens = std::max<int64_t>(1, kPassTokens / length) * length;
    GPTQC_ASSIGN(Matrix x, model.embed(ids, {length}));
    for (int64_t i = 0; i < config.blocks; ++i) {
      GPTQC_ASSIGN(const Block *block, blocks.get(i));
      for (int64_t row = 0; row < x.rows; row += passTokens)
        GPTQC_TRY(runBlock(cpu, config, *block, {length},
                           x.ref().block(row, 0, std::min(passTokens, x.rows - row), x.columns)));
      done(i + 1);
    }
    return rowsLoss(cpu, config, head, ids, length, x);
  };
  return perplexityByParts(config, rows, progress, activationBytes, lossOf);
}

} // namespace gptqc
