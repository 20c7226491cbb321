// The stages of a pre-norm decoder block.
#include "runtime/model/BlockPass.h"

#include "runtime/model/Attention.h"
#include "runtime/model/Rope.h"

namespace gptqc {

std::span<const Role> rolesOf(const ModelConfig &config, int stage) {
  static constexpr std::array<Role, kRoles> kOrder = {
      Role::Key, Role::Value, Role::Query, Role::AttentionOutput, Role::Up, Role::Gate, Role::Down};
  const std::span<const Role> order = kOrder;
  switch (stage) {
  case 0:
    return order.subspan(0, 3);
  case 1:
    return order.subspan(3, 1);
  case 2:
    return order.subspan(4, config.gated ? 2 : 1);
  case 3:
    return order.subspan(6, 1);
  default:
    return {};
  }
}

BlockPass::BlockPass(const CpuContext &cpu, const ModelConfig &config, const Block &block,
                     BatchShape shape, MatrixRef<float> x, KvCache *cache)
    : cpu(cpu), config(config), block(block), shape(shape), x(x), cache(cache),
      current(x.rows, x.columns) {
  applyNorm(cpu, config.norm, config.normEpsilon, block.attentionNorm, x, current.ref());
}

int stageOf(Role role) {
  return role <= Role::Query ? 0 : role == Role::AttentionOutput ? 1 : role <= Role::Gate ? 2 : 3;
}

std::span<const Role> BlockPass::readers() const { return rolesOf(config, stage); }

Matrix BlockPass::apply(Role role) const {
  Matrix y(current.rows, config.rows(role));
  applyLinear(cpu, block.at(role), current.ref(), y.ref());
  return y;
}

void BlockPass::rotate(Matrix &heads, const Norm &headNorm) const {
  if (config.headNorm)
    applyHeadNorm(cpu, config.normEpsilon, headNorm, heads.ref());
  if (config.rope)
    applyRope(
        RopeTable(ropeFrequencies(*config.rope, config.headDim), shape.firstPosition, shape.length),
        heads.ref(), cpu.threads);
}

void BlockPass::attend() {
  Matrix k = apply(Role::Key), q = apply(Role::Query);
  const Matrix v = apply(Role::Value);
  rotate(q, block.queryNorm);
  rotate(k, block.keyNorm);
  const AttentionShape attention = {config.heads, config.kvHeads, config.headDim,
                                    config.windows.empty() ? 0
                                                           : config.windows[size_t(block.index)]};
  current = Matrix(q.rows, q.columns);
  const int64_t length = shape.length;
  for (int64_t row = 0; row < q.rows; row += length) {
    const auto sequence = [&](const Matrix &all) -> MatrixRef<const float> {
      return all.ref().block(row, 0, length, all.columns);
    };
    auto [keys, values] = cache ? cache->append(block.index, sequence(k), sequence(v))
                                : std::pair(sequence(k), sequence(v));
    causalAttention(attention, sequence(q), keys, values,
                    current.ref().block(row, 0, length, current.columns), cpu.threads);
  }
}

void BlockPass::advance() {
  switch (stage++) {
  case 0:
    attend();
    return;
  case 1: {
    addTo(cpu, apply(Role::AttentionOutput).ref(), x);
    current = Matrix(x.rows, x.columns);
    applyNorm(cpu, config.norm, config.normEpsilon, block.mlpNorm, x, current.ref());
    return;
  }
  case 2: {
    Matrix up = apply(Role::Up);
    const Matrix gate = config.gated ? apply(Role::Gate) : Matrix();
    applyActivation(cpu, config.activation, gate.ref(), up.ref());
    current = std::move(up);
    return;
  }
  default:
    addTo(cpu, apply(Role::Down).ref(), x);
    current = Matrix();
  }
}

Status runBlock(const CpuContext &cpu, const ModelConfig &config, const Block &block,
                BatchShape shape, MatrixRef<float> x, const InputHook &hook, KvCache *cache) {
  for (BlockPass pass(cpu, config, block, shape, x, cache); !pass.done(); pass.advance())
    if (hook)
      GPTQC_TRY(hook(pass.readers(), pass.input()));
  return Status();
}

} // namespace gptqc
