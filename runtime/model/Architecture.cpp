// The list of families.
#include "runtime/model/Architecture.h"

#include "runtime/core/SafeTensors.h"

namespace gptqc {

Result<const Architecture *> Architecture::forModelType(const std::string &modelType) {
  std::string supported;
  for (const std::span<const Architecture> family :
       {llamaArchitectures(), optArchitectures(), qwenArchitectures()})
    for (const Architecture &architecture : family) {
      if (architecture.modelType == modelType)
        return &architecture;
      supported += (supported.empty() ? "" : ", ") + std::string(architecture.modelType);
    }
  return makeError(Code::Unsupported,
                   "model_type '{}' cannot be run; supported: {}; runtime/model/README.md says how "
                   "to add one",
                   quoteName(modelType), supported);
}

} // namespace gptqc
