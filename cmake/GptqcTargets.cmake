# What every target gets without asking: a precompiled header by folder, and for each executable and shared
# library the replacement of libc symbols newer than GLIBC_2.35.

# The headers that most files of a folder include anyway. GCC falls back to plain parsing where a target's
# flags differ.
set(GPTQC_PCH_BASE <cstdint> <map> <memory> <string> <string_view> <vector> <fmt/format.h>
                   <nlohmann/json.hpp>)
set(GPTQC_PCH_HEADERS_runtime ${GPTQC_PCH_BASE})
set(GPTQC_PCH_HEADERS_cli ${GPTQC_PCH_BASE} <CLI/CLI.hpp>)
set(GPTQC_PCH_HEADERS_tests ${GPTQC_PCH_BASE} <gtest/gtest.h>)
set(GPTQC_PCH_HEADERS_mlir
    <string>
    <vector>
    <fmt/format.h>
    <mlir/Dialect/Arith/IR/Arith.h>
    <mlir/Dialect/SCF/IR/SCF.h>
    <mlir/IR/Builders.h>
    <mlir/IR/BuiltinOps.h>
    <mlir/IR/BuiltinTypes.h>
    <mlir/IR/OpImplementation.h>
    <mlir/Pass/Pass.h>
    <mlir/Transforms/GreedyPatternRewriteDriver.h>)

# Declares the target that owns the precompiled header of `kind`, once.
function(gptqc_pch_owner kind out)
  set(owner gptqc_pch_${kind})
  set(${out} ${owner} PARENT_SCOPE)
  if(TARGET ${owner})
    return()
  endif()
  file(WRITE "${PROJECT_BINARY_DIR}/pch/${kind}.cpp" "// Owns the precompiled header.\n")
  add_library(${owner} OBJECT "${PROJECT_BINARY_DIR}/pch/${kind}.cpp")
  target_link_libraries(${owner} PRIVATE fmt::fmt-header-only nlohmann_json::nlohmann_json
                                         Threads::Threads)
  if(kind MATCHES "^(tests|cli)$") # as executables are compiled
    set_target_properties(${owner} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${owner} PRIVATE -fPIE)
  endif()
  if(kind STREQUAL "tests")
    target_link_libraries(${owner} PRIVATE GTest::gtest)
  elseif(kind STREQUAL "cli")
    target_link_libraries(${owner} PRIVATE CLI11::CLI11)
  elseif(kind STREQUAL "mlir")
    target_include_directories(${owner} SYSTEM PRIVATE ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
  endif()
  target_precompile_headers(${owner} PRIVATE ${GPTQC_PCH_HEADERS_${kind}})
endfunction()

# Which precompiled header a target of type `type` below the top-level folder `folder` uses; empty: none.
function(gptqc_pch_kind folder type out)
  set(kind "")
  if(type MATCHES "^(STATIC|SHARED|OBJECT)_LIBRARY$")
    if(folder STREQUAL "dialect" OR folder STREQUAL "compiler")
      set(kind mlir)
    elseif(folder STREQUAL "runtime")
      set(kind runtime)
    endif()
  elseif(type STREQUAL "EXECUTABLE" AND folder MATCHES "^(cli|tests)$")
    set(kind ${folder})
  endif()
  set(${out} "${kind}" PARENT_SCOPE)
endfunction()

# Visits every target of `directory` and below.
function(gptqc_finish_targets directory)
  file(RELATIVE_PATH relative "${PROJECT_SOURCE_DIR}" "${directory}")
  string(REGEX REPLACE "/.*" "" folder "${relative}")
  get_property(targets DIRECTORY "${directory}" PROPERTY BUILDSYSTEM_TARGETS)
  foreach(t ${targets})
    get_target_property(type ${t} TYPE)
    if(type MATCHES "^(EXECUTABLE|SHARED_LIBRARY|MODULE_LIBRARY)$" AND NOT GPTQC_SANITIZE)
      target_sources(${t} PRIVATE $<TARGET_OBJECTS:gptqc_libc_compat>)
    endif()
    gptqc_pch_kind("${folder}" ${type} kind)
    get_target_property(language ${t} LINKER_LANGUAGE)
    if(GPTQC_PCH AND kind AND NOT language STREQUAL "C")
      gptqc_pch_owner(${kind} owner)
      target_precompile_headers(${t} REUSE_FROM ${owner})
    endif()
  endforeach()
  get_property(subdirectories DIRECTORY "${directory}" PROPERTY SUBDIRECTORIES)
  foreach(s ${subdirectories})
    gptqc_finish_targets("${s}")
  endforeach()
endfunction()
