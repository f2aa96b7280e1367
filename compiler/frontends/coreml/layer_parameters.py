"""What layers of Core ML's neural networks are told: see ``layers.py``."""

from __future__ import annotations

PARAMETERS = """
OfAlpha
  1 alpha float
OfAlphaBeta
  1 alpha float
  2 beta float
ActivationPReLU
  1 alpha WeightParams
ActivationParametricSoftplus
  1 alpha WeightParams
  2 beta WeightParams
Branch
  1 ifBranch NeuralNetwork
  2 elseBranch NeuralNetwork
Loop
  1 maxLoopIterations uint64
  2 conditionVar string
  3 conditionNetwork NeuralNetwork
  4 bodyNetwork NeuralNetwork
Compared
  2 alpha float
EdgeSizes
  1 startEdgeSize uint64
  2 endEdgeSize uint64
BorderAmounts
  10 borderAmounts EdgeSizes*
ValidPadding
  1 paddingAmounts BorderAmounts
SamePadding
  1 asymmetryMode int32
SamplingMode
  1 samplingMethod int32
BoxCoordinatesMode
  1 boxMode int32
Convolution
  1 outputChannels uint64
  2 kernelChannels uint64
  10 nGroups uint64
  20 kernelSize uint64*
  30 stride uint64*
  40 dilationFactor uint64*
  50 valid ValidPadding
  51 same SamePadding
  60 isDeconvolution bool
  70 hasBias bool
  90 weights WeightParams
  91 bias WeightParams
  100 outputShape uint64*
Convolution3D
  1 outputChannels int32
  2 inputChannels int32
  10 nGroups int32
  20 kernelDepth int32
  21 kernelHeight int32
  22 kernelWidth int32
  31 strideDepth int32
  32 strideHeight int32
  33 strideWidth int32
  40 dilationDepth int32
  41 dilationHeight int32
  42 dilationWidth int32
  50 hasBias bool
  60 weights WeightParams
  61 bias WeightParams
  70 paddingType int32
  80 customPaddingFront int32
  81 customPaddingBack int32
  82 customPaddingTop int32
  83 customPaddingBottom int32
  84 customPaddingLeft int32
  85 customPaddingRight int32
  86 isDeconvolution bool
  87 outputShape uint64*
InnerProduct
  22 int8DynamicQuantize bool
  1 inputChannels uint64
  2 outputChannels uint64
  10 hasBias bool
  20 weights WeightParams
  21 bias WeightParams
Embedding
  1 inputDim uint64
  2 outputChannels uint64
  10 hasBias bool
  20 weights WeightParams
  21 bias WeightParams
EmbeddingND
  1 vocabSize uint64
  2 embeddingSize uint64
  3 hasBias bool
  20 weights WeightParams
  21 bias WeightParams
Batchnorm
  1 channels uint64
  5 computeMeanVar bool
  6 instanceNormalization bool
  10 epsilon float
  15 gamma WeightParams
  16 beta WeightParams
  17 mean WeightParams
  18 variance WeightParams
ValidCompletePadding
  10 paddingAmounts uint64*
Pooling
  1 type int32
  10 kernelSize uint64*
  20 stride uint64*
  30 valid ValidPadding
  31 same SamePadding
  32 includeLastPixel ValidCompletePadding
  50 avgPoolExcludePadding bool
  60 globalPooling bool
Pooling3D
  1 type int32
  2 kernelDepth int32
  3 kernelHeight int32
  4 kernelWidth int32
  5 strideDepth int32
  6 strideHeight int32
  7 strideWidth int32
  8 customPaddingFront int32
  9 customPaddingBack int32
  10 customPaddingTop int32
  11 customPaddingBottom int32
  12 customPaddingLeft int32
  13 customPaddingRight int32
  14 countExcludePadding bool
  15 paddingType int32
OfType
  1 type int32
OfValue
  1 value float
Padding
  1 constant OfValue
  2 reflection Empty
  3 replication Empty
  10 paddingAmounts BorderAmounts
Concat
  100 sequenceConcat bool
LRN
  1 alpha float
  2 beta float
  3 localSize uint64
  4 k float
Split
  1 nOutputs uint64
UnaryFunction
  1 type int32
  2 alpha float
  3 epsilon float
  4 shift float
  5 scale float
Upsample
  1 scalingFactor uint64*
  5 mode int32
  6 linearUpsampleMode int32
  7 fractionalScalingFactor float*
ResizeBilinear
  1 targetSize uint64*
  2 mode SamplingMode
CropResize
  1 targetSize uint64*
  2 normalizedCoordinates bool
  3 mode SamplingMode
  4 boxIndicesMode BoxCoordinatesMode
  5 spatialScale float
Bias
  1 shape uint64*
  2 bias WeightParams
Scale
  1 shapeScale uint64*
  2 scale WeightParams
  3 hasBias bool
  4 shapeBias uint64*
  5 bias WeightParams
LoadConstant
  1 shape uint64*
  2 data WeightParams
OfEpsilon
  1 epsilon float
OfMode
  1 mode int32
Reshape
  1 targetShape int64*
  2 mode int32
Permute
  1 axis uint64*
ReorganizeData
  1 mode int32
  2 blockSize uint64
Slice
  1 startIndex int64
  2 endIndex int64
  3 stride uint64
  4 axis int32
Reduce
  1 mode int32
  2 epsilon float
  3 axis int32
Crop
  1 cropAmounts BorderAmounts
  5 offset uint64*
DotProduct
  1 cosineSimilarity bool
MeanVarianceNormalize
  1 acrossChannels bool
  2 normalizeVariance bool
  3 epsilon float
SequenceRepeat
  1 nRepetitions uint64
SimpleRecurrent
  1 inputVectorSize uint64
  2 outputVectorSize uint64
  10 activation ActivationParams
  15 sequenceOutput bool
  20 hasBiasVector bool
  30 weightMatrix WeightParams
  31 recursionMatrix WeightParams
  32 biasVector WeightParams
  100 reverseInput bool
GRU
  1 inputVectorSize uint64
  2 outputVectorSize uint64
  10 activations ActivationParams*
  15 sequenceOutput bool
  20 hasBiasVectors bool
  30 updateGateWeightMatrix WeightParams
  31 resetGateWeightMatrix WeightParams
  32 outputGateWeightMatrix WeightParams
  50 updateGateRecursionMatrix WeightParams
  51 resetGateRecursionMatrix WeightParams
  52 outputGateRecursionMatrix WeightParams
  70 updateGateBiasVector WeightParams
  71 resetGateBiasVector WeightParams
  72 outputGateBiasVector WeightParams
  100 reverseInput bool
LSTMParams
  10 sequenceOutput bool
  20 hasBiasVectors bool
  30 forgetBias bool
  40 hasPeepholeVectors bool
  50 coupledInputAndForgetGate bool
  60 cellClipThreshold float
LSTMWeightParams
  1 inputGateWeightMatrix WeightParams
  2 forgetGateWeightMatrix WeightParams
  3 blockInputWeightMatrix WeightParams
  4 outputGateWeightMatrix WeightParams
  20 inputGateRecursionMatrix WeightParams
  21 forgetGateRecursionMatrix WeightParams
  22 blockInputRecursionMatrix WeightParams
  23 outputGateRecursionMatrix WeightParams
  40 inputGateBiasVector WeightParams
  41 forgetGateBiasVector WeightParams
  42 blockInputBiasVector WeightParams
  43 outputGateBiasVector WeightParams
  60 inputGatePeepholeVector WeightParams
  61 forgetGatePeepholeVector WeightParams
  62 outputGatePeepholeVector WeightParams
UniDirectionalLSTM
  1 inputVectorSize uint64
  2 outputVectorSize uint64
  10 activations ActivationParams*
  15 params LSTMParams
  20 weightParams LSTMWeightParams
  100 reverseInput bool
BiDirectionalLSTM
  1 inputVectorSize uint64
  2 outputVectorSize uint64
  10 activationsForwardLSTM ActivationParams*
  11 activationsBackwardLSTM ActivationParams*
  15 params LSTMParams
  20 weightParams LSTMWeightParams*
Transpose
  1 axes uint64*
BatchedMatMul
  10 int8DynamicQuantize bool
  1 transposeA bool
  2 transposeB bool
  5 weightMatrixFirstDimension uint64
  6 weightMatrixSecondDimension uint64
  7 hasBias bool
  8 weights WeightParams
  9 bias WeightParams
ConcatND
  1 axis int64
  2 interleave bool
OfAxis
  1 axis int64
Reverse
  1 reverseDim bool*
ReverseSeq
  1 batchAxis int64
  2 sequenceAxis int64
FillStatic
  1 value float
  2 targetShape uint64*
MatrixBandPart
  1 numLower int64
  2 numUpper int64
OfDiagonal
  1 k int64
BroadcastToStatic
  1 targetShape uint64*
ScatterAxis
  1 axis int64
  2 mode int32
OfTargetShape
  1 targetShape int64*
ConstantPadding
  1 value float
  2 padAmounts uint64*
  3 padToGivenOutputSizeMode bool
RandomNormalLike
  1 seed int64
  2 mean float
  3 stdDev float
RandomNormalStatic
  1 seed int64
  2 mean float
  3 stdDev float
  4 outputShape uint64*
RandomNormalDynamic
  1 seed int64
  2 mean float
  3 stdDev float
RandomUniformLike
  1 seed int64
  2 minVal float
  3 maxVal float
RandomUniformStatic
  1 seed int64
  2 minVal float
  3 maxVal float
  4 outputShape uint64*
RandomUniformDynamic
  1 seed int64
  2 minVal float
  3 maxVal float
RandomBernoulliLike
  1 seed int64
  2 prob float
RandomBernoulliStatic
  1 seed int64
  2 prob float
  3 outputShape uint64*
RandomBernoulliDynamic
  1 seed int64
  2 prob float
CategoricalDistribution
  1 seed int64
  2 numSamples int64
  3 isLogits bool
  4 eps float
  5 temperature float
ReduceND
  1 axes int64*
  2 keepDims bool
  3 reduceAll bool
OfAxes
  1 axes int64*
Squeeze
  1 axes int64*
  2 squeezeAll bool
TopK
  1 axis int64
  2 K uint64
  3 useBottomK bool
ArgND
  1 axis int64
  2 removeDim bool
SplitND
  1 axis int64
  2 numSplits uint64
  3 splitSizes uint64*
Clip
  1 minVal float
  2 maxVal float
SliceStatic
  1 beginIds int64*
  2 beginMasks bool*
  3 endIds int64*
  4 endMasks bool*
  5 strides int64*
  6 squeezeMasks bool*
SliceDynamic
  2 beginMasks bool*
  3 endIds int64*
  4 endMasks bool*
  5 strides int64*
  6 squeezeMasks bool*
Tile
  1 reps uint64*
RangeStatic
  1 endValue float
  2 startValue float
  3 stepSizeValue float
RangeDynamic
  2 startValue float
  3 stepSizeValue float
SlidingWindows
  1 axis int64
  2 windowSize uint64
  3 step uint64
LayerNormalization
  1 normalizedShape int64*
  2 eps float
  3 gamma WeightParams
  4 beta WeightParams
NonMaximumSuppression
  1 iouThreshold float
  2 scoreThreshold float
  3 maxBoxes uint64
  4 perClassSuppression bool
ArgSort
  1 axis int64
  2 descending bool
SliceBySize
  2 size int64
  3 axis int64
OneHot
  1 oneHotVectorSize uint64
  2 axis int64
  3 onValue float
  4 offValue float
CumSum
  1 axis int64
  2 excludeFinalSum bool
  3 reverse bool
"""

__all__ = ["PARAMETERS"]
