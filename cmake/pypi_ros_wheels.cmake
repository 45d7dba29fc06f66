# Lets this package build against the "ros-jazzy-*" wheels from PyPI (in a virtual environment).
# Does nothing on a normal ROS 2 installation.
#
# 1. The wheels set no AMENT_PREFIX_PATH, and rosidl looks the type supports up there.
find_package(ament_cmake_core REQUIRED CONFIG)
get_filename_component(_mu0_ros_prefix "${ament_cmake_core_DIR}/../../.." ABSOLUTE)
string(REPLACE ":" ";" _mu0_ament_prefixes "$ENV{AMENT_PREFIX_PATH}")
if(NOT _mu0_ros_prefix IN_LIST _mu0_ament_prefixes)
  list(APPEND _mu0_ament_prefixes "${_mu0_ros_prefix}")
  string(REPLACE ";" ":" _mu0_ament_prefixes "${_mu0_ament_prefixes}")
  set(ENV{AMENT_PREFIX_PATH} "${_mu0_ament_prefixes}")
endif()

# 2. The interface wheels export include directories of the image that they were built in
#    (/opt/python/cp311-cp311/...), which CMake rejects because they do not exist.
function(_mu0_drop_wheel_build_paths)
  get_property(_targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(_target IN LISTS _targets)
    get_target_property(_dirs ${_target} INTERFACE_INCLUDE_DIRECTORIES)
    if(_dirs MATCHES "/opt/python/cp")
      list(FILTER _dirs EXCLUDE REGEX "^/opt/python/cp")
      set_target_properties(${_target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_dirs}")
    endif()
  endforeach()
endfunction()
cmake_language(DEFER CALL _mu0_drop_wheel_build_paths)

# 3. A virtual environment inside the source tree (.venv) puts numpy's headers there, and CMake
#    refuses to export such a path: keep it for the build only.
function(_mu0_keep_source_paths_for_build)
  set(_target ${PROJECT_NAME}__rosidl_generator_py)
  if(TARGET ${_target})
    get_target_property(_dirs ${_target} INTERFACE_INCLUDE_DIRECTORIES)
    set(_kept "")
    foreach(_dir IN LISTS _dirs)
      string(FIND "${_dir}" "${CMAKE_CURRENT_SOURCE_DIR}/" _at)
      if(_at EQUAL 0)
        list(APPEND _kept "$<BUILD_INTERFACE:${_dir}>")
      else()
        list(APPEND _kept "${_dir}")
      endif()
    endforeach()
    set_target_properties(${_target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_kept}")
  endif()
endfunction()
cmake_language(DEFER CALL _mu0_keep_source_paths_for_build)
