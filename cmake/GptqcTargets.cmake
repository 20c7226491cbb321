# What every target gets without asking: a precompiled header by folder, and for each executable and shared
# library the replacement of libc symbols newer than GLIBC_2.35.

# The headers that most files of a folder include anyway. GCC falls back to plain parsing where a target's
# flags differ.
set(GPTQC_PCH_BASE <cstdint> <map> <memory> <string> <string_view> <vector> <fmt/format.h>
                   <nlohmann/json.hpp>)
set(GPTQC_PCH_HEADERS_runtime ${GPTQC_PCH_BASE})
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
  target_link_libraries(${owner} PRIVATE gptqc_fmt nlohmann_json::nlohmann_json
                                         Threads::Threads)
  if(kind STREQUAL "tests")
    set_target_properties(${owner} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${owner} PRIVATE -fPIE) # as executables are compiled
    target_compile_options(${owner} PRIVATE $<$<CONFIG:Release>:-O1> ${GPTQC_NO_COVERAGE}) # as gptqc_test does
    target_link_libraries(${owner} PRIVATE GTest::gtest)
  elseif(kind STREQUAL "mlir")
    target_include_directories(${owner} SYSTEM PRIVATE ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
  endif()
  target_precompile_headers(${owner} PRIVATE ${GPTQC_PCH_HEADERS_${kind}})
endfunction()

# Whether a target links a library whose name matches `pattern`, itself or through our libraries.
function(gptqc_links t pattern out)
  set(${out} FALSE PARENT_SCOPE)
  get_target_property(libraries ${t} LINK_LIBRARIES)
  foreach(library ${libraries})
    set(found FALSE)
    if(library MATCHES "${pattern}")
      set(found TRUE)
    elseif(library MATCHES "^gptqc" AND TARGET ${library})
      gptqc_links(${library} "${pattern}" found)
    endif()
    if(found)
      set(${out} TRUE PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# Which precompiled header the target `t` below the top-level folder `folder` uses; empty: none. MLIR's
# headers only go to what links MLIR: their inline functions refer to it.
function(gptqc_pch_kind folder t out)
  set(kind "")
  get_target_property(type ${t} TYPE)
  get_target_property(disabled ${t} DISABLE_PRECOMPILE_HEADERS)
  if(disabled)
    set(${out} "" PARENT_SCOPE)
    return()
  endif()
  if(type MATCHES "^(STATIC|SHARED|OBJECT)_LIBRARY$" AND folder MATCHES "^(runtime|autotune|dialect|compiler|cli|tests)$")
    gptqc_links(${t} "^MLIR" mlir)
    gptqc_links(${t} "^gptqc_fmt$" fmt)
    if(mlir)
      set(kind mlir)
    elseif(fmt)
      set(kind runtime)
    endif()
  elseif(type STREQUAL "EXECUTABLE" AND folder STREQUAL "tests")
    gptqc_links(${t} "^GTest::" gtest)
    if(gtest)
      set(kind tests)
    endif()
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
    gptqc_pch_kind("${folder}" ${t} kind)
    if(GPTQC_PCH AND kind)
      gptqc_pch_owner(${kind} owner)
      target_precompile_headers(${t} REUSE_FROM ${owner})
    endif()
  endforeach()
  get_property(subdirectories DIRECTORY "${directory}" PROPERTY SUBDIRECTORIES)
  foreach(s ${subdirectories})
    gptqc_finish_targets("${s}")
  endforeach()
endfunction()
