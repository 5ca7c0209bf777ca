# What others embed: include/tideline, the library with everything that it is made of, and the folder that `cmake --install` makes.
#
# The public headers are some of src/, under one folder and one name: <tideline/result.h> is src/base/result.h. They include no
# third-party header and nothing of src/ that is not in this list.
set(tideline_public_headers
  base/buffer.h base/cancel.h base/result.h base/units.h
  tensor/tensor.h
  session/compare.h session/control.h session/deployment.h)

set(tideline_public_include "${PROJECT_BINARY_DIR}/include")
foreach(header IN LISTS tideline_public_headers)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${header}")
  file(READ "${PROJECT_SOURCE_DIR}/src/${header}" content)
  string(REGEX REPLACE "#include \"[a-z_/]+/([a-z_]+\\.h)\"" "#include \"tideline/\\1\"" content "${content}")
  get_filename_component(name "${header}" NAME)
  file(CONFIGURE OUTPUT "${tideline_public_include}/tideline/${name}" CONTENT "${content}" @ONLY)
endforeach()
configure_file(include/tideline/tideline.h "${tideline_public_include}/tideline/tideline.h" COPYONLY)

# With add_subdirectory. LINK_ONLY: our warnings and our include folder are not those of who uses us.
add_library(tideline_embed INTERFACE)
add_library(tideline::tideline ALIAS tideline_embed)
target_include_directories(tideline_embed INTERFACE "${tideline_public_include}")
target_compile_features(tideline_embed INTERFACE cxx_std_20)
target_link_libraries(tideline_embed INTERFACE $<LINK_ONLY:tideline_session>)

if(NOT PROJECT_IS_TOP_LEVEL OR TIDELINE_FUZZ)
  return()
endif()

# bin/tideline, lib/libtideline.a, lib/ with the engine and every shared library that a bare system does not have,
# include/tideline, lib/cmake/tideline. The folder runs where it is copied.
include(GNUInstallDirs)
get_property(rooms GLOBAL PROPERTY tideline_libraries)
list(REMOVE_ITEM rooms tideline_train_engine tideline_train_learn)  # need libtorch, which does not come along
set(archives "")
foreach(room IN LISTS rooms)
  string(APPEND archives "addlib $<TARGET_FILE:${room}>\\n")
endforeach()
install(CODE "
  set(script \"\${CMAKE_CURRENT_BINARY_DIR}/libtideline.mri\")
  set(prefix \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}\")
  file(MAKE_DIRECTORY \"\${prefix}/lib\")
  set(made \"${PROJECT_BINARY_DIR}/libtideline.a\")
  file(WRITE \"${PROJECT_BINARY_DIR}/libtideline.mri\" \"create \${made}\\n${archives}save\\nend\\n\")
  execute_process(COMMAND \"${CMAKE_AR}\" -M INPUT_FILE \"${PROJECT_BINARY_DIR}/libtideline.mri\" COMMAND_ERROR_IS_FATAL ANY)
  file(INSTALL \"\${made}\" DESTINATION \"\${prefix}/lib\")
  # What the program needs, but not what every system has; the engine by its own name.
  file(GET_RUNTIME_DEPENDENCIES EXECUTABLES \"$<TARGET_FILE:tideline>\" RESOLVED_DEPENDENCIES_VAR found UNRESOLVED_DEPENDENCIES_VAR lost
       PRE_EXCLUDE_REGEXES \"^(libc|libm|libdl|librt|libpthread|libstdc\\\\+\\\\+|libgcc_s|ld-linux.*)[.]so\")
  if(lost)
    message(FATAL_ERROR \"not found: \${lost}\")
  endif()
  set(bundled \"\")
  foreach(library IN LISTS found)
    file(INSTALL \"\${library}\" DESTINATION \"\${prefix}/lib\" FOLLOW_SYMLINK_CHAIN)
    get_filename_component(name \"\${library}\" NAME)
    string(APPEND bundled \" \${name}\")
  endforeach()
  file(WRITE \"\${prefix}/lib/cmake/tideline/tidelineLibraries.cmake\" \"set(tideline_bundled\${bundled})\\n\")
")
install(TARGETS tideline RUNTIME DESTINATION bin)
# RPATH and not RUNPATH: it is also how the libraries that come along find each other.
set_target_properties(tideline PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
target_link_options(tideline PRIVATE -Wl,--disable-new-dtags)
# What trains comes along where it was built; libtorch does not: 500 MB that a system has, or that TORCH_ROOT says where they are.
if(TARGET tideline-train)
  install(TARGETS tideline-train RUNTIME DESTINATION bin)
  set_target_properties(tideline-train PROPERTIES INSTALL_RPATH "$ORIGIN/../lib" INSTALL_RPATH_USE_LINK_PATH ON)
  target_link_options(tideline-train PRIVATE -Wl,--disable-new-dtags)
endif()
install(DIRECTORY "${tideline_public_include}/tideline" DESTINATION include)
include(CMakePackageConfigHelpers)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/tidelineConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES cmake/tidelineConfig.cmake "${PROJECT_BINARY_DIR}/tidelineConfigVersion.cmake" DESTINATION lib/cmake/tideline)
install(FILES README.md LICENSE DESTINATION share/doc/tideline)
install(DIRECTORY examples/clusters examples/models examples/embed DESTINATION share/doc/tideline/examples)
foreach(shell IN ITEMS bash zsh fish)
  set(folder_bash share/bash-completion/completions/tideline)
  set(folder_zsh share/zsh/site-functions/_tideline)
  set(folder_fish share/fish/vendor_completions.d/tideline.fish)
  install(CODE "
    execute_process(COMMAND \"$<TARGET_FILE:tideline>\" completion ${shell} OUTPUT_VARIABLE script COMMAND_ERROR_IS_FATAL ANY)
    file(WRITE \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${folder_${shell}}\" \"\${script}\")")
endforeach()
