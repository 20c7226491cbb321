// A batch of token rows on its way through one block, stopping before each group of linear layers,
// so that a solver can look at their input and replace their weights first.
#ifndef GPTQC_RUNTIME_MODEL_BLOCKPASS_H
#define GPTQC_RUNTIME_MODEL_BLOCKPASS_H

#include <functional>
#include <span>

#include "runtime/model/Block.h"
#include "runtime/model/CpuMath.h"
#include "runtime/model/KvCache.h"

namespace gptqc {

/// The rows of a batch: sequences of equal length, one after the other, all from the same position.
struct BatchShape {
  int64_t length = 0;        ///< tokens of a sequence
  int64_t firstPosition = 0; ///< of each sequence's first token
};

/// Stages 0..3 are before key, value and query; the output of attention; up and gate; down. Borrows
/// what it is given; one thread at a time. Each advance() uses the weights as they are then:
///
///   for (BlockPass pass(cpu, config, block, {length}, x); !pass.done(); pass.advance())
///     collect(pass.readers(), pass.input());   // and perhaps quantize the readers
class BlockPass {
public:
  /// `x` [sequences * length, hidden] is updated in place and holds the block's output when done.
  /// With a cache there is one sequence, and its keys and values are appended.
  BlockPass(const CpuContext &cpu, const ModelConfig &config, const Block &block, BatchShape shape,
            MatrixRef<float> x, KvCache *cache = nullptr);

  bool done() const { return stage == kStages; }
  int currentStage() const { return stage; }
  /// The linear layers that read input(), in calibration order; empty when done.
  std::span<const Role> readers() const;
  /// [rows of x, K]; valid until advance().
  MatrixRef<const float> input() const { return current.ref(); }
  /// Applies the readers and goes to the input of the next group.
  void advance();

private:
  Matrix apply(Role role) const;
  void attend();
  void rotate(Matrix &x, const Norm &headNorm) const;

  const CpuContext &cpu;
  const ModelConfig &config;
  const Block &block;
  BatchShape shape;
  MatrixRef<float> x;
  KvCache *cache;
  int stage = 0;
  Matrix current; ///< the input of the readers
};

/// Sees the input of a group of linear layers before they are applied.
using InputHook = std::function<Status(std::span<const Role> readers, MatrixRef<const float> x)>;

/// All stages; the hook may be empty. Stops at the hook's first error.
Status runBlock(const CpuContext &cpu, const ModelConfig &config, const Block &block,
                BatchShape shape, MatrixRef<float> x, const InputHook &hook = nullptr,
                KvCache *cache = nullptr);

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_BLOCKPASS_H
