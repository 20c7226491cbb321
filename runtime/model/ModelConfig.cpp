// Sizes of linear layers by role.
#include "runtime/model/ModelConfig.h"

namespace gptqc {

int64_t ModelConfig::rows(Role role) const {
  switch (role) {
  case Role::Key:
  case Role::Value:
    return kvHeads * headDim;
  case Role::Query:
    return heads * headDim;
  case Role::Up:
  case Role::Gate:
    return intermediate;
  default:
    return hidden;
  }
}

int64_t ModelConfig::columns(Role role) const {
  switch (role) {
  case Role::AttentionOutput:
    return heads * headDim;
  case Role::Down:
    return intermediate;
  default:
    return hidden;
  }
}

bool ModelConfig::hasBias(Role role) const {
  switch (role) {
  case Role::Key:
  case Role::Value:
  case Role::Query:
    return queryBias;
  case Role::AttentionOutput:
    return outputBias;
  default:
    return mlpBias;
  }
}

} // namespace gptqc
