// The compiler behind gptqc/compiler.h: text in, serialized kernel images out.
#include "gptqc/compiler.h"

#include <exception>
#include <memory>
#include <vector>

#include "compiler/Compiler.h"

using namespace gptqc;

namespace {

gptqc_error *toError(const Status &status) {
  return gptqc_error_create(int(status.code()), status.message().c_str());
}

/// Where exceptions end; they can only be of memory.
template <typename Body> gptqc_error *guarded(const Body &body) {
  try {
    return toError(body());
  } catch (const std::exception &) {
    return gptqc_error_create(GPTQC_INTERNAL, "no memory");
  }
}

Status giveImage(const Result<KernelImage> &kernel, gptqc_image *image) {
  GPTQC_TRY(kernel.status());
  auto bytes = std::make_unique<std::vector<uint8_t>>(kernel->serialize());
  image->data = bytes->data();
  image->size = bytes->size();
  image->owner = bytes.release();
  image->release = [](gptqc_image *done) {
    delete static_cast<std::vector<uint8_t> *>(done->owner);
    *done = {};
  };
  return Status();
}

gptqc_error *compileLinear(void *user, const char *descriptor, const char *target,
                           gptqc_image *image) {
  return guarded([&]() -> Status {
    if (!user || !descriptor || !target || !image)
      return invalidArgument("compile_linear: an argument is NULL");
    GPTQC_ASSIGN(const Descriptor kernel, Descriptor::parse(descriptor));
    GPTQC_ASSIGN(const Target gpu, Target::parse(target));
    return giveImage(static_cast<Compiler *>(user)->compileLinear(kernel, gpu, std::nullopt),
                     image);
  });
}

gptqc_error *compileSupport(void *user, const char *file, const char *entry, const char *target,
                            gptqc_image *image) {
  return guarded([&]() -> Status {
    if (!user || !file || !entry || !target || !image)
      return invalidArgument("compile_support: an argument is NULL");
    GPTQC_ASSIGN(const Target gpu, Target::parse(target));
    return giveImage(static_cast<Compiler *>(user)->compileSupport(file, entry, gpu), image);
  });
}

} // namespace

gptqc_error *gptqc_compiler_open(const gptqc_compiler_options *options, gptqc_compiler *table) {
  return guarded([&]() -> Status {
    if (!table)
      return invalidArgument("gptqc_compiler_open: table must not be NULL");
    CompilerOptions settings;
    if (options) {
      if (options->struct_size != sizeof *options)
        return invalidArgument("gptqc_compiler_options: struct_size is {}, this library has {}; "
                               "compile against its header",
                               options->struct_size, sizeof *options);
      settings.nvrtcPath = options->nvrtc ? options->nvrtc : "";
      settings.cacheDir = options->cache ? options->cache : "";
      settings.useCache = !options->cache || *options->cache;
    }
    GPTQC_ASSIGN(std::unique_ptr<Compiler> compiler, Compiler::create(settings));
    *table = {};
    table->struct_size = sizeof *table;
    table->user = compiler.release();
    table->compile_linear = compileLinear;
    table->compile_support = compileSupport;
    return Status();
  });
}

void gptqc_compiler_close(gptqc_compiler *table) {
  if (!table)
    return;
  delete static_cast<Compiler *>(table->user);
  *table = {};
}
