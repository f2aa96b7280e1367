"""The messages of Core ML that are read, but for the layers of neural networks (``layers.py``).

Field numbers are those of ``Model.proto``, ``FeatureTypes.proto``, ``DataStructures.proto`` and
``MIL.proto`` in apple/coremltools. Enumerations are int32.
"""

from __future__ import annotations

from ..messages import declare
from .layers import LAYERS

_MODEL = """
Model
  1 specificationVersion int32
  2 description ModelDescription
  200 pipelineClassifier PipelineOf
  201 pipelineRegressor PipelineOf
  202 pipeline Pipeline
  303 neuralNetworkRegressor NeuralNetwork
  403 neuralNetworkClassifier NeuralNetwork
  500 neuralNetwork NeuralNetwork
  502 mlProgram Program
Pipeline
  1 models Model*
  2 names string*
PipelineOf
  1 pipeline Pipeline
ModelDescription
  1 input FeatureDescription*
  10 output FeatureDescription*
  11 predictedFeatureName string
  12 predictedProbabilitiesName string
  20 functions FunctionDescription*
  21 defaultFunctionName string
  100 metadata Metadata
FunctionDescription
  1 name string
  2 input FeatureDescription*
  3 output FeatureDescription*
  4 predictedFeatureName string
  5 predictedProbabilitiesName string
FeatureDescription
  1 name string
  2 shortDescription string
  3 type FeatureType
Metadata
  1 shortDescription string
  2 versionString string
  3 author string
  4 license string
  100 userDefined map string
FeatureType
  1 int64Type Empty
  2 doubleType Empty
  3 stringType Empty
  4 imageType ImageFeatureType
  5 multiArrayType ArrayFeatureType
  6 dictionaryType Empty
  7 sequenceType Empty
  8 stateType Empty
  1000 isOptional bool
Empty
SizeRange
  1 lowerBound uint64
  2 upperBound int64
ImageFeatureType
  1 width int64
  2 height int64
  3 colorSpace int32
  21 enumeratedSizes Empty
  31 imageSizeRange ImageSizeRange
ImageSizeRange
  1 widthRange SizeRange
  2 heightRange SizeRange
ArrayFeatureType
  1 shape int64*
  2 dataType int32
  21 enumeratedShapes EnumeratedShapes
  31 shapeRange ShapeRange
EnumeratedShapes
  1 shapes Shape*
Shape
  1 shape int64*
ShapeRange
  1 sizeRanges SizeRange*
StringVector
  1 vector string*
Int64Vector
  1 vector int64*
"""

_PROGRAM = """
Program
  1 version int64
  2 functions map Function
Function
  1 inputs NamedValueType*
  2 opset string
  3 block_specializations map Block
Block
  1 inputs NamedValueType*
  2 outputs string*
  3 operations Operation*
Operation
  1 type string
  2 inputs map Argument
  3 outputs NamedValueType*
  4 blocks Block*
  5 attributes map Value
Argument
  1 arguments Binding*
Binding
  1 name string
  2 value Value
NamedValueType
  1 name string
  2 type ValueType
ValueType
  1 tensorType TensorType
  2 listType ListType
  4 dictionaryType Empty
  5 stateType Empty
TensorType
  1 dataType int32
  2 rank int64
  3 dimensions Dimension*
ListType
  1 type ValueType
Dimension
  1 constant ConstantDimension
  2 unknown Empty
ConstantDimension
  1 size uint64
Value
  2 type ValueType
  3 immediateValue ImmediateValue
  5 blobFileValue BlobFileValue
ImmediateValue
  1 tensor TensorValue
  3 list ListValue
BlobFileValue
  1 fileName string
  2 offset uint64
ListValue
  1 values Value*
TensorValue
  1 floats Floats
  2 ints Ints
  3 bools Bools
  4 strings Strings
  5 longInts LongInts
  6 doubles Doubles
  7 bytes Bytes
Floats
  1 values float*
Ints
  1 values int32*
Bools
  1 values bool*
Strings
  1 values string*
LongInts
  1 values int64*
Doubles
  1 values double*
Bytes
  1 values bytes
"""

MESSAGES = declare("weft.coreml", _MODEL + _PROGRAM + LAYERS, utf8=True)
Model = MESSAGES["Model"]

__all__ = ["MESSAGES", "Model"]
