"""TensorFlow's protocol buffers, as far as they are read here (``tensorflow/core/framework``,
``tensorflow/core/protobuf``)."""

from __future__ import annotations

from ..messages import declare

MESSAGES = declare(
    "weft.tensorflow",
    """
    GraphDef
      1 node NodeDef*
      2 library FunctionDefLibrary
      4 versions VersionDef
    VersionDef
      1 producer int32
    NodeDef
      1 name string
      2 op string
      3 input string*
      5 attr map AttrValue
    AttrValue
      1 list ListValue
      2 s bytes
      3 i int64
      4 f float
      5 b bool
      6 type int32
      7 shape TensorShapeProto
      8 tensor TensorProto
      10 func NameAttrList
    ListValue
      2 s bytes*
      3 i int64*
      4 f float*
      5 b bool*
      6 type int32*
      7 shape TensorShapeProto*
      8 tensor TensorProto*
      9 func NameAttrList*
    NameAttrList
      1 name string
      2 attr map AttrValue
    TensorShapeProto
      2 dim Dim*
      3 unknown_rank bool
    Dim
      1 size int64
    TensorProto
      1 dtype int32
      2 tensor_shape TensorShapeProto
      4 tensor_content bytes
      5 float_val float*
      6 double_val double*
      7 int_val int32*
      8 string_val bytes*
      10 int64_val int64*
      11 bool_val bool*
      13 half_val int32*
      16 uint32_val uint32*
      17 uint64_val uint64*
    FunctionDefLibrary
      1 function FunctionDef*
    FunctionDef
      1 signature OpDef
      3 node_def NodeDef*
      4 ret map string
    OpDef
      1 name string
      2 input_arg ArgDef*
      3 output_arg ArgDef*
    ArgDef
      1 name string
      3 type int32
    SavedModel
      1 saved_model_schema_version int64
      2 meta_graphs MetaGraphDef*
    MetaGraphDef
      1 meta_info_def MetaInfoDef
      2 graph_def GraphDef
      3 saver_def SaverDef
      5 signature_def map SignatureDef
    MetaInfoDef
      4 tags string*
      5 tensorflow_version string
    SaverDef
      1 filename_tensor_name string
      3 restore_op_name string
    SignatureDef
      1 inputs map TensorInfo
      2 outputs map TensorInfo
      3 method_name string
    TensorInfo
      1 name string
      2 dtype int32
      3 tensor_shape TensorShapeProto
    BundleHeaderProto
      1 num_shards int32
      2 endianness int32
    BundleEntryProto
      1 dtype int32
      2 shape TensorShapeProto
      3 shard_id int32
      4 offset int64
      5 size int64
      7 slices Slice*
    Slice
      1 extent int64*
    """,
)

__all__ = ["MESSAGES"]
