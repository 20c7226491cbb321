# `cmake --install`: the tools; the runtime library with its headers, CMake package and pkg-config file; the
# licence. Everything is relocatable.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
foreach(t gptqc gptqc-opt)
  if(TARGET ${t})
    install(TARGETS ${t} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  endif()
endforeach()
if(TARGET gptqc_sentencepiece) # where gptqc looks for it
  install(TARGETS gptqc_sentencepiece LIBRARY DESTINATION "${CMAKE_INSTALL_BINDIR}/../lib")
endif()

set(gptqc_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/gptqc")
foreach(t gptqc_runtime gptqc_compiler)
  if(TARGET ${t})
    install(TARGETS ${t} EXPORT gptqcTargets
            LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
            INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  endif()
endforeach()
install(EXPORT gptqcTargets NAMESPACE gptqc:: DESTINATION "${gptqc_package_dir}")
configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/gptqcConfig.cmake.in" "${PROJECT_BINARY_DIR}/gptqcConfig.cmake"
  INSTALL_DESTINATION "${gptqc_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/gptqcConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/gptqcConfig.cmake"
              "${PROJECT_BINARY_DIR}/gptqcConfigVersion.cmake"
        DESTINATION "${gptqc_package_dir}")

file(RELATIVE_PATH GPTQC_PREFIX_FROM_PC "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" GPTQC_PREFIX_FROM_PC "${GPTQC_PREFIX_FROM_PC}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/gptqc.pc.in" "${PROJECT_BINARY_DIR}/gptqc.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/gptqc.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/runtime/include/gptqc"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
