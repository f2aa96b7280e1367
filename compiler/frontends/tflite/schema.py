"""The tables of a ``.tflite`` file, as TensorFlow Lite's ``schema.fbs`` numbers their fields.

A line is a table, or, where it begins with a number, the options that a union calls by it. A field
is its slot, its name, and its type, with its default where that is not zero; ``*`` is a vector.
"""

from __future__ import annotations

from .flatbuffer import declare

OPERATORS = (
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE",
    "DEQUANTIZE", "EMBEDDING_LOOKUP", "FLOOR", "FULLY_CONNECTED", "HASHTABLE_LOOKUP",
    "L2_NORMALIZATION", "L2_POOL_2D", "LOCAL_RESPONSE_NORMALIZATION", "LOGISTIC",
    "LSH_PROJECTION", "LSTM", "MAX_POOL_2D", "MUL", "RELU", "RELU_N1_TO_1", "RELU6", "RESHAPE",
    "RESIZE_BILINEAR", "RNN", "SOFTMAX", "SPACE_TO_DEPTH", "SVDF", "TANH", "CONCAT_EMBEDDINGS",
    "SKIP_GRAM", "CALL", "CUSTOM", "EMBEDDING_LOOKUP_SPARSE", "PAD",
    "UNIDIRECTIONAL_SEQUENCE_RNN", "GATHER", "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND",
    "TRANSPOSE", "MEAN", "SUB", "DIV", "SQUEEZE", "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "STRIDED_SLICE", "BIDIRECTIONAL_SEQUENCE_RNN", "EXP", "TOPK_V2", "SPLIT", "LOG_SOFTMAX",
    "DELEGATE", "BIDIRECTIONAL_SEQUENCE_LSTM", "CAST", "PRELU", "MAXIMUM", "ARG_MAX", "MINIMUM",
    "LESS", "NEG", "PADV2", "GREATER", "GREATER_EQUAL", "LESS_EQUAL", "SELECT", "SLICE", "SIN",
    "TRANSPOSE_CONV", "SPARSE_TO_DENSE", "TILE", "EXPAND_DIMS", "EQUAL", "NOT_EQUAL", "LOG",
    "SUM", "SQRT", "RSQRT", "SHAPE", "POW", "ARG_MIN", "FAKE_QUANT", "REDUCE_PROD",
    "REDUCE_MAX", "PACK", "LOGICAL_OR", "ONE_HOT", "LOGICAL_AND", "LOGICAL_NOT", "UNPACK",
    "REDUCE_MIN", "FLOOR_DIV", "REDUCE_ANY", "SQUARE", "ZEROS_LIKE", "FILL", "FLOOR_MOD",
    "RANGE", "RESIZE_NEAREST_NEIGHBOR", "LEAKY_RELU", "SQUARED_DIFFERENCE", "MIRROR_PAD", "ABS",
    "SPLIT_V", "UNIQUE", "CEIL", "REVERSE_V2", "ADD_N", "GATHER_ND", "COS", "WHERE", "RANK",
    "ELU", "REVERSE_SEQUENCE", "MATRIX_DIAG", "QUANTIZE", "MATRIX_SET_DIAG", "ROUND",
    "HARD_SWISH", "IF", "WHILE", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5",
    "SCATTER_ND", "SELECT_V2", "DENSIFY", "SEGMENT_SUM", "BATCH_MATMUL",
    "PLACEHOLDER_FOR_GREATER_OP_CODES", "CUMSUM", "CALL_ONCE", "BROADCAST_TO", "RFFT2D",
    "CONV_3D", "IMAG", "REAL", "COMPLEX_ABS", "HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT",
    "HASHTABLE_SIZE", "REDUCE_ALL", "CONV_3D_TRANSPOSE", "VAR_HANDLE", "READ_VARIABLE",
    "ASSIGN_VARIABLE", "BROADCAST_ARGS", "RANDOM_STANDARD_NORMAL", "BUCKETIZE",
    "RANDOM_UNIFORM", "MULTINOMIAL", "GELU", "DYNAMIC_UPDATE_SLICE", "RELU_0_TO_1",
    "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_SUM", "ATAN2",
    "UNSORTED_SEGMENT_MIN", "SIGN", "BITCAST", "BITWISE_XOR", "RIGHT_SHIFT",
    "STABLEHLO_LOGISTIC", "STABLEHLO_ADD", "STABLEHLO_DIVIDE", "STABLEHLO_MULTIPLY",
    "STABLEHLO_MAXIMUM", "STABLEHLO_RESHAPE", "STABLEHLO_CLAMP", "STABLEHLO_CONCATENATE",
    "STABLEHLO_BROADCAST_IN_DIM", "STABLEHLO_CONVOLUTION", "STABLEHLO_SLICE",
    "STABLEHLO_CUSTOM_CALL", "STABLEHLO_REDUCE", "STABLEHLO_ABS", "STABLEHLO_AND",
    "STABLEHLO_COSINE", "STABLEHLO_EXPONENTIAL", "STABLEHLO_FLOOR", "STABLEHLO_LOG",
    "STABLEHLO_MINIMUM", "STABLEHLO_NEGATE", "STABLEHLO_OR", "STABLEHLO_POWER",
    "STABLEHLO_REMAINDER", "STABLEHLO_RSQRT", "STABLEHLO_SELECT", "STABLEHLO_SUBTRACT",
    "STABLEHLO_TANH", "STABLEHLO_SCATTER", "STABLEHLO_COMPARE", "STABLEHLO_CONVERT",
    "STABLEHLO_DYNAMIC_SLICE", "STABLEHLO_DYNAMIC_UPDATE_SLICE", "STABLEHLO_PAD",
    "STABLEHLO_IOTA", "STABLEHLO_DOT_GENERAL", "STABLEHLO_REDUCE_WINDOW", "STABLEHLO_SORT",
    "STABLEHLO_WHILE", "STABLEHLO_GATHER", "STABLEHLO_TRANSPOSE", "DILATE",
    "STABLEHLO_RNG_BIT_GENERATOR", "REDUCE_WINDOW", "STABLEHLO_COMPOSITE",
    "STABLEHLO_SHIFT_LEFT", "STABLEHLO_CBRT", "STABLEHLO_CASE",
)  # fmt: skip

TABLES = declare(
    """
Model 0:version:u32 1:operator_codes:table* 2:subgraphs:table* 3:description:string
      4:buffers:table* 5:metadata_buffer:i32* 6:metadata:table* 7:signature_defs:table*
      8:external_buffer_groups:table* 9:external_buffers:table*
OperatorCode 0:deprecated_builtin_code:i8 1:custom_code:string 2:version:i32=1
      3:builtin_code:i32
SubGraph 0:tensors:table* 1:inputs:i32* 2:outputs:i32* 3:operators:table* 4:name:string
      5:debug_metadata_index:i32=-1
Tensor 0:shape:i32* 1:type:i8 2:buffer:u32 3:name:string 4:quantization:table 5:is_variable:bool
      6:sparsity:table 7:shape_signature:i32* 8:has_rank:bool 9:variant_tensors:table*
      10:external_buffer:u32
QuantizationParameters 0:min:f32* 1:max:f32* 2:scale:f32* 3:zero_point:i64* 4:details_type:u8
      5:details:table 6:quantized_dimension:i32
SparsityParameters 0:traversal_order:i32* 1:block_map:i32* 2:dim_metadata:table*
DimensionMetadata 0:format:i8 1:dense_size:i32 2:array_segments_type:u8 3:array_segments:table
      4:array_indices_type:u8 5:array_indices:table
Int32Vector 0:values:i32*
Uint16Vector 0:values:u16*
Uint8Vector 0:values:u8*
Operator 0:opcode_index:u32 1:inputs:i32* 2:outputs:i32* 3:builtin_options_type:u8
      4:builtin_options:table 5:custom_options:u8* 6:custom_options_format:i8
      7:mutating_variable_inputs:bool* 8:intermediates:i32* 9:large_custom_options_offset:u64
      10:large_custom_options_size:u64 11:builtin_options2_type:u8 12:builtin_options2:table
      13:debug_metadata_index:i32=-1
Buffer 0:data:u8* 1:offset:u64 2:size:u64
SignatureDef 0:inputs:table* 1:outputs:table* 2:signature_key:string 4:subgraph_index:u32
TensorMap 0:name:string 1:tensor_index:u32
"""
)

# BuiltinOptions: those with fields
OPTIONS = declare(
    """
1 Conv2D 0:padding:i8 1:stride_w:i32 2:stride_h:i32 3:fused_activation_function:i8
      4:dilation_w_factor:i32=1 5:dilation_h_factor:i32=1 6:quantized_bias_type:i8
2 DepthwiseConv2D 0:padding:i8 1:stride_w:i32 2:stride_h:i32 3:depth_multiplier:i32
      4:fused_activation_function:i8 5:dilation_w_factor:i32=1 6:dilation_h_factor:i32=1
3 ConcatEmbeddings 0:num_channels:i32 1:num_columns_per_channel:i32*
      2:embedding_dim_per_channel:i32*
4 LSHProjection 0:type:i8
5 Pool2D 0:padding:i8 1:stride_w:i32 2:stride_h:i32 3:filter_width:i32 4:filter_height:i32
      5:fused_activation_function:i8
6 SVDF 0:rank:i32 1:fused_activation_function:i8 2:asymmetric_quantize_inputs:bool
7 RNN 0:fused_activation_function:i8 1:asymmetric_quantize_inputs:bool
8 FullyConnected 0:fused_activation_function:i8 1:weights_format:i8 2:keep_num_dims:bool
      3:asymmetric_quantize_inputs:bool 4:quantized_bias_type:i8 5:quant_spec:u8*
9 Softmax 0:beta:f32
10 Concatenation 0:axis:i32 1:fused_activation_function:i8
11 Add 0:fused_activation_function:i8 1:pot_scale_int16:bool=1
12 L2Norm 0:fused_activation_function:i8
13 LocalResponseNormalization 0:radius:i32 1:bias:f32 2:alpha:f32 3:beta:f32
14 LSTM 0:fused_activation_function:i8 1:cell_clip:f32 2:proj_clip:f32 3:kernel_type:i8
      4:asymmetric_quantize_inputs:bool
15 ResizeBilinear 2:align_corners:bool 3:half_pixel_centers:bool
16 Call 0:subgraph:u32
17 Reshape 0:new_shape:i32*
18 SkipGram 0:ngram_size:i32 1:max_skip_size:i32 2:include_all_ngrams:bool
19 SpaceToDepth 0:block_size:i32
20 EmbeddingLookupSparse 0:combiner:i8
21 Mul 0:fused_activation_function:i8
23 Gather 0:axis:i32 1:batch_dims:i32
27 Reducer 0:keep_dims:bool
28 Sub 0:fused_activation_function:i8 1:pot_scale_int16:bool=1
29 Div 0:fused_activation_function:i8
30 Squeeze 0:squeeze_dims:i32*
31 SequenceRNN 0:time_major:bool 1:fused_activation_function:i8
      2:asymmetric_quantize_inputs:bool
32 StridedSlice 0:begin_mask:i32 1:end_mask:i32 2:ellipsis_mask:i32 3:new_axis_mask:i32
      4:shrink_axis_mask:i32 5:offset:bool
35 Split 0:num_splits:i32
37 Cast 0:in_data_type:i8 1:out_data_type:i8
40 ArgMax 0:output_type:i8
49 TransposeConv 0:padding:i8 1:stride_w:i32 2:stride_h:i32 3:fused_activation_function:i8
      4:quantized_bias_type:i8
50 SparseToDense 0:validate_indices:bool
55 Shape 0:out_type:i8
57 ArgMin 0:output_type:i8
58 FakeQuant 0:min:f32 1:max:f32 2:num_bits:i32 3:narrow_range:bool
59 Pack 0:values_count:i32 1:axis:i32
61 OneHot 0:axis:i32
64 Unpack 0:num:i32 1:axis:i32
69 BidirectionalSequenceLSTM 0:fused_activation_function:i8 1:cell_clip:f32 2:proj_clip:f32
      3:merge_outputs:bool 4:time_major:bool=1 5:asymmetric_quantize_inputs:bool
70 BidirectionalSequenceRNN 0:time_major:bool 1:fused_activation_function:i8
      2:merge_outputs:bool 3:asymmetric_quantize_inputs:bool
71 UnidirectionalSequenceLSTM 0:fused_activation_function:i8 1:cell_clip:f32 2:proj_clip:f32
      3:time_major:bool 4:asymmetric_quantize_inputs:bool 5:diagonal_recurrent_tensors:bool
74 ResizeNearestNeighbor 0:align_corners:bool 1:half_pixel_centers:bool
75 LeakyRelu 0:alpha:f32
77 MirrorPad 0:mode:i8
79 SplitV 0:num_splits:i32
80 Unique 0:idx_out_type:i8=2
87 ReverseSequence 0:seq_dim:i32 1:batch_dim:i32
92 If 0:then_subgraph_index:i32 1:else_subgraph_index:i32
93 While 0:cond_subgraph_index:i32 1:body_subgraph_index:i32
94 DepthToSpace 0:block_size:i32
101 BatchMatMul 0:adj_x:bool 1:adj_y:bool 2:asymmetric_quantize_inputs:bool
102 Cumsum 0:exclusive:bool 1:reverse:bool
103 CallOnce 0:init_subgraph_index:i32
106 Conv3D 0:padding:i8 1:stride_d:i32 2:stride_w:i32 3:stride_h:i32
      4:fused_activation_function:i8 5:dilation_d_factor:i32=1 6:dilation_w_factor:i32=1
      7:dilation_h_factor:i32=1
107 Hashtable 0:table_id:i32 1:key_dtype:i8 2:value_dtype:i8
111 VarHandle 0:container:string 1:shared_name:string
114 Random 0:seed:i64 1:seed2:i64
115 Bucketize 0:boundaries:f32*
116 Gelu 0:approximate:bool
"""
)
