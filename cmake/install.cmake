# `cmake --install`: the program, its default model, the libraries and headers, a CMake package and a .pc file.
include(CMakePackageConfigHelpers)

set(libraries dalle1_options dalle1_core dalle1_weights dalle1_dvae dalle1_transformer dalle1_clip dalle1_rerank)
install(TARGETS dalle1 RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS ${libraries} EXPORT dalle1Targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(folder core weights dvae transformer clip rerank)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/dalle1
          FILES_MATCHING PATTERN "*.h")
endforeach()
if(EXISTS ${PROJECT_SOURCE_DIR}/weights/default)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/weights/default DESTINATION ${CMAKE_INSTALL_DATADIR}/dalle1)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/weights/tokenizers DESTINATION ${CMAKE_INSTALL_DATADIR}/dalle1)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/dalle1)
install(EXPORT dalle1Targets NAMESPACE dalle1:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/dalle1Config.cmake.in ${PROJECT_BINARY_DIR}/dalle1Config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/dalle1ConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/dalle1Config.cmake ${PROJECT_BINARY_DIR}/dalle1ConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake
        DESTINATION ${package_dir})
# Relative, so that `cmake --install --prefix` and moved trees stay right.
file(RELATIVE_PATH DALLE1_PREFIX_FROM_PC /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" DALLE1_PREFIX_FROM_PC ${DALLE1_PREFIX_FROM_PC})
configure_file(${CMAKE_CURRENT_LIST_DIR}/dalle1.pc.in ${PROJECT_BINARY_DIR}/dalle1.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/dalle1.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
