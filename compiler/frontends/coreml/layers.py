"""The messages of Core ML's neural networks: layers, by the name and number that each has, and
their weights (``NeuralNetwork.proto`` in apple/coremltools).

Messages of the same fields are declared once; ``Empty`` are those without any. What layers are told
is in ``layer_parameters.py``.
"""

from __future__ import annotations

from .layer_parameters import PARAMETERS

_NETWORK = """
NeuralNetwork
  1 layers NeuralNetworkLayer*
  2 preprocessing NeuralNetworkPreprocessing*
  5 arrayInputShapeMapping int32
  6 imageInputShapeMapping int32
  100 stringClassLabels StringVector
  101 int64ClassLabels Int64Vector
  200 labelProbabilityLayerName string
NeuralNetworkPreprocessing
  1 featureName string
  10 scaler NeuralNetworkImageScaler
  11 meanImage NeuralNetworkMeanImage
NeuralNetworkImageScaler
  10 channelScale float
  20 blueBias float
  21 greenBias float
  22 redBias float
  30 grayBias float
NeuralNetworkMeanImage
  1 meanImage float*
NeuralNetworkLayer
  1 name string
  2 input string*
  3 output string*
  100 convolution Convolution
  120 pooling Pooling
  130 activation ActivationParams
  140 innerProduct InnerProduct
  150 embedding Embedding
  160 batchnorm Batchnorm
  165 mvn MeanVarianceNormalize
  170 l2normalize OfEpsilon
  175 softmax Empty
  180 lrn LRN
  190 crop Crop
  200 padding Padding
  210 upsample Upsample
  211 resizeBilinear ResizeBilinear
  212 cropResize CropResize
  220 unary UnaryFunction
  230 add OfAlpha
  231 multiply OfAlpha
  240 average Empty
  245 scale Scale
  250 bias Bias
  260 max Empty
  261 min Empty
  270 dot DotProduct
  280 reduce Reduce
  290 loadConstant LoadConstant
  300 reshape Reshape
  301 flatten OfMode
  310 permute Permute
  320 concat Concat
  330 split Split
  340 sequenceRepeat SequenceRepeat
  345 reorganizeData ReorganizeData
  350 slice Slice
  400 simpleRecurrent SimpleRecurrent
  410 gru GRU
  420 uniDirectionalLSTM UniDirectionalLSTM
  430 biDirectionalLSTM BiDirectionalLSTM
  500 custom Empty
  600 copy Empty
  605 branch Branch
  615 loop Loop
  620 loopBreak Empty
  625 loopContinue Empty
  635 rangeStatic RangeStatic
  640 rangeDynamic RangeDynamic
  660 clip Clip
  665 ceil Empty
  670 floor Empty
  680 sign Empty
  685 round Empty
  700 exp2 Empty
  710 sin Empty
  715 cos Empty
  720 tan Empty
  730 asin Empty
  735 acos Empty
  740 atan Empty
  750 sinh Empty
  755 cosh Empty
  760 tanh Empty
  770 asinh Empty
  775 acosh Empty
  780 atanh Empty
  790 erf Empty
  795 gelu OfMode
  815 equal OfAlpha
  820 notEqual OfAlpha
  825 lessThan Compared
  827 lessEqual Compared
  830 greaterThan Compared
  832 greaterEqual Compared
  840 logicalOr Empty
  845 logicalXor Empty
  850 logicalNot Empty
  855 logicalAnd Empty
  865 modBroadcastable Empty
  870 minBroadcastable Empty
  875 maxBroadcastable Empty
  880 addBroadcastable Empty
  885 powBroadcastable Empty
  890 divideBroadcastable Empty
  895 floorDivBroadcastable Empty
  900 multiplyBroadcastable Empty
  905 subtractBroadcastable Empty
  920 tile Tile
  925 stack OfAxis
  930 gather OfAxis
  935 scatter ScatterAxis
  940 gatherND Empty
  945 scatterND OfMode
  950 softmaxND OfAxis
  952 gatherAlongAxis OfAxis
  954 scatterAlongAxis ScatterAxis
  960 reverse Reverse
  965 reverseSeq ReverseSeq
  975 splitND SplitND
  980 concatND ConcatND
  985 transpose Transpose
  995 sliceStatic SliceStatic
  1000 sliceDynamic SliceDynamic
  1005 slidingWindows SlidingWindows
  1015 topK TopK
  1020 argMin ArgND
  1025 argMax ArgND
  1040 embeddingND EmbeddingND
  1045 batchedMatmul BatchedMatMul
  1065 getShape Empty
  1070 loadConstantND LoadConstant
  1080 fillLike OfValue
  1085 fillStatic FillStatic
  1090 fillDynamic OfValue
  1100 broadcastToLike Empty
  1105 broadcastToStatic BroadcastToStatic
  1110 broadcastToDynamic Empty
  1120 squeeze Squeeze
  1125 expandDims OfAxes
  1130 flattenTo2D OfAxis
  1135 reshapeLike Empty
  1140 reshapeStatic OfTargetShape
  1145 reshapeDynamic Empty
  1150 rankPreservingReshape OfTargetShape
  1155 constantPad ConstantPadding
  1170 randomNormalLike RandomNormalLike
  1175 randomNormalStatic RandomNormalStatic
  1180 randomNormalDynamic RandomNormalDynamic
  1190 randomUniformLike RandomUniformLike
  1195 randomUniformStatic RandomUniformStatic
  1200 randomUniformDynamic RandomUniformDynamic
  1210 randomBernoulliLike RandomBernoulliLike
  1215 randomBernoulliStatic RandomBernoulliStatic
  1220 randomBernoulliDynamic RandomBernoulliDynamic
  1230 categoricalDistribution CategoricalDistribution
  1250 reduceL1 ReduceND
  1255 reduceL2 ReduceND
  1260 reduceMax ReduceND
  1265 reduceMin ReduceND
  1270 reduceSum ReduceND
  1275 reduceProd ReduceND
  1280 reduceMean ReduceND
  1285 reduceLogSum ReduceND
  1290 reduceSumSquare ReduceND
  1295 reduceLogSumExp ReduceND
  1313 whereNonZero Empty
  1315 matrixBandPart MatrixBandPart
  1320 lowerTriangular OfDiagonal
  1325 upperTriangular OfDiagonal
  1330 whereBroadcastable Empty
  1350 layerNormalization LayerNormalization
  1400 NonMaximumSuppression NonMaximumSuppression
  1450 oneHot OneHot
  1455 cumSum CumSum
  1460 clampedReLU OfAlphaBeta
  1461 argSort ArgSort
  1465 pooling3d Pooling3D
  1466 globalPooling3d OfType
  1470 sliceBySize SliceBySize
  1471 convolution3d Convolution3D
WeightParams
  1 floatValue float*
  2 float16Value bytes
  30 rawValue bytes
  31 int8RawValue bytes
  40 quantization QuantizationParams
QuantizationParams
  1 numberOfBits uint64
  101 linearQuantization LinearQuantizationParams
  102 lookupTableQuantization LookUpTable
LinearQuantizationParams
  1 scale float*
  2 bias float*
LookUpTable
  1 floatValue float*
ActivationParams
  5 linear OfAlphaBeta
  10 ReLU Empty
  15 leakyReLU OfAlpha
  20 thresholdedReLU OfAlpha
  25 PReLU ActivationPReLU
  30 tanh Empty
  31 scaledTanh OfAlphaBeta
  40 sigmoid Empty
  41 sigmoidHard OfAlphaBeta
  50 ELU OfAlpha
  60 softsign Empty
  70 softplus Empty
  71 parametricSoftplus ActivationParametricSoftplus
"""

LAYERS = _NETWORK + PARAMETERS

__all__ = ["LAYERS"]
