// Lookup by name in the embedded files.
#include "templates/Templates.h"

namespace gptqc {

EmbeddedFile findTemplate(std::string_view name) {
  for (const EmbeddedFile &file : embeddedTemplates())
    if (file.name == name)
      return file;
  return {};
}

} // namespace gptqc
